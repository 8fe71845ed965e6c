"""What this machine lends: processes, programs in place of images, addresses and names, certificates, a folder."""
