"""What was deployed, run as ECS runs it: tasks, their hosts, secrets, registrations; the decode endpoint too."""
