/* Load a proxy from both ends: this one thread is the peers behind it and the clients in front of it, so that one clock
   times each event. Peers: a prefill worker of vLLM's protocol, and a decode endpoint of Tandem's contract, which any
   OpenAI-compatible relay can ask as well. One JSON line on stdout is the result.

   load streams TARGET PEERS COUNT SECONDS RATE [IDLE SLOW]   paced streams, one write an event
   load ttfb    TARGET PEERS COUNT                            streams of one event, one after the other
   load short   TARGET PEERS CONNECTIONS SECONDS [REQUESTS]   whole answers, as fast as they come
   load serve   0      PEERS 0                                the peers alone

   TARGET is a port on 127.0.0.1; PEERS is the decode endpoint's port, and PEERS + 1 the prefill worker's. Of the streams
   IDLE ones get one event and then none, and of SLOW ones the client reads nothing
   while the peer sends as much as is taken. REQUESTS ends a run before SECONDS. Status 3: a stream did not begin within 5 s. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { EVENT = 193, BUFFER = 65536, CONNECTIONS = 8192, SAMPLES = 20000000, MARK = 18, STALLED = 3 };
enum kind { FREE, LISTENER, PEER, CLIENT };
static const char KEY[] = "client-key", DONE[] = "e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n";

struct connection {
    enum kind kind;
    int fd, index;
    bool prefill, streaming, ids, blocked, ended, slow, idle, failed;
    int used;                 /* bytes in buffer */
    int unsent;               /* bytes of event that the socket did not take yet */
    char *buffer, event[512]; /* request or answer under way; the event under way */
    int64_t due, asked;
    long left; /* bytes of an answer's body still to come; -1 in a head, -2 in chunks */
};

static struct connection all[CONNECTIONS];
static struct connection *paced[CONNECTIONS], *clients[CONNECTIONS];
static int poller, streams, begun, opened, head, ended_streams, failures, target;
static long events, requests, most_requests;
static int64_t interval, stop_at, count_from;
static uint32_t *waits, *lags;
static long waits_n, lags_n;
static enum { STREAMS, TTFB, SHORT, SERVE } mode;

static int64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void die(const char *what) {
    perror(what);
    exit(1);
}

static void note(uint32_t *samples, long *count, int64_t nanoseconds) {
    if (*count < SAMPLES) samples[(*count)++] = nanoseconds < 0 ? 0 : nanoseconds > UINT32_MAX ? UINT32_MAX : nanoseconds;
}

static struct connection *add(int fd, enum kind kind) {
    if (fd < 0 || fd >= CONNECTIONS) die("socket");
    struct connection *c = &all[fd];
    char *buffer = c->buffer ? c->buffer : malloc(BUFFER + 1);
    memset(c, 0, sizeof *c);
    *c = (struct connection){.kind = kind, .fd = fd, .buffer = buffer, .left = -1};
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
    if (epoll_ctl(poller, EPOLL_CTL_ADD, fd, &e)) die("epoll_ctl");
    return c;
}

static void drop(struct connection *c) {
    if (c->kind == FREE) return;
    epoll_ctl(poller, EPOLL_CTL_DEL, c->fd, NULL);
    close(c->fd);
    c->kind = FREE;
}

static void listen_on(int port, bool prefill) {
    int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&a, sizeof a) || listen(fd, 4096)) die("listen");
    add(fd, LISTENER)->prefill = prefill;
}

/* ---- peers ---- */

static void answer(struct connection *c, const char *status, const char *body) {
    char out[4096];
    int n = snprintf(out, sizeof out, "HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s", status,
                     strlen(body), body);
    if (send(c->fd, out, n, MSG_NOSIGNAL) != n) drop(c);
}

/* Write one event of 193 bytes in one chunk; with the ids of its token where the gateway asks for them. */
static void write_event(struct connection *c, int64_t stamp) {
    static const char begin[] =
        "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":\"m\","
        "\"choices\":[{\"index\":0,\"delta\":{\"content\":\"@T";
    static char made[2][512];
    static int sizes[2], stamps[2];
    char *made_ = made[c->ids];
    if (!sizes[c->ids]) {
        const char *ids = c->ids ? ",\"token_ids\":[12345]" : "";
        int size = EVENT + (int)strlen(ids), n = sprintf(made_, "%x\r\n", size), first = n;
        n += sprintf(made_ + n, "%s%016x\"},\"finish_reason\":null%s}],\"p\":\"", begin, 0, ids);
        while (n < first + size - 4) made_[n++] = 'x';
        memcpy(made_ + n, "\"}\n\n\r\n", 6);
        sizes[c->ids] = n + 6, stamps[c->ids] = first + (int)sizeof begin - 1;
    }
    memcpy(c->event, made_, c->unsent = sizes[c->ids]);
    for (int i = 0; i < 16; i++) c->event[stamps[c->ids] + i] = "0123456789abcdef"[stamp >> (60 - 4 * i) & 15];
}

static void flush(struct connection *c) {
    int n = send(c->fd, c->event, c->unsent, MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN) {
        c->unsent = 0, c->ended = true;
        return;
    }
    c->blocked = n < c->unsent;
    if (n > 0) memmove(c->event, c->event + n, c->unsent -= n);
}

static void start_stream(struct connection *c) {
    static const char head_[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
    c->streaming = true;
    char out[1024];
    write_event(c, now());
    int n = snprintf(out, sizeof out, "%s%.*s%s", head_, c->unsent, c->event, mode == STREAMS ? "" : DONE);
    c->unsent = 0;
    if (send(c->fd, out, n, MSG_NOSIGNAL) != n) return drop(c);
    if (mode == STREAMS) c->index = begun, paced[begun++] = c;
    else c->streaming = false;
}

static void serve(struct connection *c) {
    const char *r = c->buffer;
    if (!strncmp(r, "POST /v1/", 9) && strstr(r, "completions")) {
        if (c->prefill)
            return answer(c, "200 OK",
                          "{\"id\":\"1\",\"object\":\"chat.completion\",\"created\":1,\"model\":\"m\",\"choices\":[{\"index\":0,"
                          "\"message\":{\"role\":\"assistant\",\"content\":\"x\"},\"finish_reason\":\"length\"}],\"usage\":{"
                          "\"prompt_tokens\":100,\"completion_tokens\":1,\"total_tokens\":101},\"kv_transfer_params\":{"
                          "\"do_remote_prefill\":true,\"do_remote_decode\":false,\"remote_engine_id\":\"engine-1\","
                          "\"remote_request_id\":\"chatcmpl-1-0a1b2c3d\",\"remote_block_ids\":[[1,2,3,4,5,6,7]],"
                          "\"remote_host\":\"127.0.0.1\",\"remote_port\":5600,\"remote_num_tokens\":100,\"tp_size\":1}}");
        if (strstr(r, "\"stream\":true") || strstr(r, "\"stream\": true")) {
            c->ids = strstr(r, "\"return_token_ids\":true") != NULL;
            return start_stream(c);
        }
        return answer(c, "200 OK",
                      "{\"id\":\"1\",\"object\":\"chat.completion\",\"created\":1,\"model\":\"m\",\"choices\":[{\"index\":0,"
                      "\"message\":{\"role\":\"assistant\",\"content\":\"Hello\"},\"finish_reason\":\"stop\"}],\"usage\":{"
                      "\"prompt_tokens\":100,\"completion_tokens\":1,\"total_tokens\":101}}");
    }
    if (!strncmp(r, "POST /tandem/v1/reservations", 28))
        return answer(c, "201 Created", "{\"reservation_id\":\"r-1\",\"ttl_ms\":60000}");
    if (!strncmp(r, "DELETE ", 7)) return answer(c, "204 No Content", "");
    if (strstr(r, "/abort")) return answer(c, "202 Accepted", "");
    answer(c, "200 OK", "{\"status\":\"ok\",\"reservation_fill\":0.1,\"object\":\"list\",\"data\":[{\"id\":\"m\",\"object\":\"model\"}]}");
}

/* Return the length of the request at the buffer's start, 0 while it is not whole. */
static int request_size(struct connection *c) {
    c->buffer[c->used] = 0;
    char *end = strstr(c->buffer, "\r\n\r\n");
    if (!end) return 0;
    char *length = strcasestr(c->buffer, "\r\ncontent-length:"), *chunked = strcasestr(c->buffer, "\r\ntransfer-encoding:");
    int size = end + 4 - c->buffer;
    if (length && length < end) size += atoi(length + 17);
    else if (chunked && chunked < end) {
        char *last = strstr(end, "\r\n0\r\n\r\n");
        return last ? last + 7 - c->buffer : 0;
    }
    return size <= c->used ? size : 0;
}

static void receive_request(struct connection *c) {
    int n = recv(c->fd, c->buffer + c->used, BUFFER - c->used, 0);
    if (n <= 0) {
        if (c->streaming) c->ended = true;
        if (n == 0 || errno != EAGAIN) {
            if (c->streaming) epoll_ctl(poller, EPOLL_CTL_DEL, c->fd, NULL), c->ended = true;
            else drop(c);
        }
        return;
    }
    c->used += n;
    for (int size; c->kind == PEER && (size = request_size(c));) {
        char saved = c->buffer[size];
        c->buffer[size] = 0;
        serve(c);
        c->buffer[size] = saved;
        memmove(c->buffer, c->buffer + size, c->used -= size);
    }
}

/* ---- clients ---- */

static void ask(struct connection *c) {
    char body[512], out[1024];
    bool stream = mode != SHORT;
    int n = snprintf(body, sizeof body,
                     "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"Tell me, in one word, what is heavier: a pound "
                     "of feathers or a pound of lead, and why?\"}],\"max_tokens\":64,\"stream\":%s}",
                     stream ? "true" : "false");
    n = snprintf(out, sizeof out,
                 "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer %s\r\n"
                 "Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
                 KEY, n, body);
    c->asked = now(), c->left = -1, c->used = 0;
    if (send(c->fd, out, n, MSG_NOSIGNAL) != n) die("send");
}

static struct connection *dial(void) {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(target), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (connect(fd, (struct sockaddr *)&a, sizeof a)) die("connect");
    return add(fd, CLIENT);
}

static void answered(struct connection *c, bool well) {
    requests++;
    failures += !well;
    if (mode == SHORT) note(waits, &waits_n, now() - c->asked);
    if (mode == STREAMS) ended_streams++;
    else if (now() < stop_at && requests < most_requests) {
        if (!well) drop(c), c = dial();
        ask(c);
    } else opened--;
}

/* Find the stamps of events, and the end; what may be half of a stamp stays in the buffer. */
static void receive_events(struct connection *c) {
    char *at = c->buffer, *end = c->buffer + c->used;
    int64_t came = now();
    for (char *found; (found = memmem(at, end - at, "@T", 2)) && end - found >= MARK; at = found + MARK) {
        int64_t sent = strtoll(found + 2, NULL, 16);
        if (mode == TTFB) note(waits, &waits_n, came - c->asked);
        else if (sent >= count_from) note(waits, &waits_n, came - sent), events++;
    }
    bool done = memmem(at, end - at, "[DONE]", 6) && end - c->buffer >= 5 && !memcmp(end - 5, "0\r\n\r\n", 5);
    if (done) {
        c->used = 0;
        return answered(c, true);
    }
    int kept = end - at < 64 ? end - at : 64;
    memmove(c->buffer, end - kept, c->used = kept);
}

static bool in_head(struct connection *c) {
    c->buffer[c->used] = 0;
    char *end = strstr(c->buffer, "\r\n\r\n");
    if (!end) return true;
    if (strncmp(c->buffer + 8, " 200", 4)) {
        static bool told;
        if (!told) fprintf(stderr, "load: %.300s\n", c->buffer);
        told = true;
        c->failed = true;
    }
    char *length = strcasestr(c->buffer, "\r\ncontent-length:");
    c->left = length && length < end ? atol(length + 17) : -2;
    c->used -= end + 4 - c->buffer;
    memmove(c->buffer, end + 4, c->used);
    return false;
}

static void receive_answer(struct connection *c) {
    if (c->slow && c->left != -1) {
        struct epoll_event e = {.events = 0, .data.ptr = c};
        epoll_ctl(poller, EPOLL_CTL_MOD, c->fd, &e);
        return;
    }
    int n = recv(c->fd, c->buffer + c->used, BUFFER - c->used, 0);
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) {
        drop(c);
        return answered(c, false);
    }
    c->used += n;
    if (c->left == -1 && in_head(c)) return;
    if (mode != SHORT && !c->failed) return receive_events(c);
    bool whole = c->left >= 0 ? c->used >= c->left : c->used >= 5 && !memcmp(c->buffer + c->used - 5, "0\r\n\r\n", 5);
    if (!whole) return;
    bool well = !c->failed;
    c->failed = false;
    answered(c, well);
}

/* ---- the run ---- */

static void write_due(void) {
    for (int written = 0; begun && written < begun; written++) {
        struct connection *c = paced[head];
        int64_t at = now();
        if (c->due > at) return;
        head = (head + 1) % begun;
        int64_t due = c->due;
        c->due += interval;
        if (c->ended || c->idle) continue;
        if (at >= stop_at) {
            c->ended = true;
            send(c->fd, DONE, sizeof DONE - 1, MSG_NOSIGNAL);
            continue;
        }
        bool was_blocked = c->blocked;
        if (c->unsent) flush(c);
        if (c->unsent) continue;
        write_event(c, was_blocked ? due : at);
        if (!c->slow) note(lags, &lags_n, at - due);
        flush(c);
        for (int more = 64; c->slow && more && !c->unsent; more--) write_event(c, at), flush(c);
    }
}

static void start_pacing(int64_t at, int seconds) {
    for (int i = 0; i < begun; i++) paced[i]->due = at + interval * i / begun;
    stop_at = at + seconds * 1000000000LL;
    count_from = at + (stop_at - at) / 5; /* the first fifth warms up */
}

static int by_value(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static double share(uint32_t *samples, long count, double q) {
    return count ? samples[(long)(q * (count - 1))] / 1e6 : -1;
}

static void report(double seconds) {
    qsort(waits, waits_n, sizeof *waits, by_value);
    qsort(lags, lags_n, sizeof *lags, by_value);
    printf("{\"events\":%ld,\"requests\":%ld,\"failures\":%d,\"ended\":%d,\"seconds\":%.4f,\"p50_ms\":%.4f,\"p99_ms\":%.4f,"
           "\"max_ms\":%.4f,\"lag_p99_ms\":%.4f}\n",
           events, requests, failures, ended_streams, seconds, share(waits, waits_n, 0.5), share(waits, waits_n, 0.99),
           share(waits, waits_n, 1), share(lags, lags_n, 0.99));
}

static void step(int64_t nanoseconds) {
    struct epoll_event found[512];
    struct timespec timeout = {nanoseconds / 1000000000, nanoseconds % 1000000000};
    int n = epoll_pwait2(poller, found, 512, &timeout, NULL);
    for (int i = 0; i < n; i++) {
        struct connection *c = found[i].data.ptr;
        if (c->kind == LISTENER) {
            for (int fd; (fd = accept(c->fd, NULL, NULL)) >= 0;) add(fd, PEER)->prefill = c->prefill;
        } else if (c->kind == PEER) receive_request(c);
        else if (c->kind == CLIENT) receive_answer(c);
        if (mode == STREAMS && stop_at && i % 16 == 15) write_due();
    }
}

static void run_streams(int count, int seconds, int idle, int slow) {
    streams = count + idle + slow;
    for (int i = 0; i < streams; i++) {
        struct connection *c = clients[i] = dial();
        c->slow = i >= count + idle;
        ask(c);
        /* one after the other: so the peers' streams and the clients' have one order */
        for (int64_t began = now(); begun <= i && now() - began < 5000000000LL;) step(1000000);
        if (begun <= i) fprintf(stderr, "load: stream %d did not begin\n", i), exit(STALLED);
        paced[i]->idle = i >= count && !c->slow, paced[i]->slow = c->slow;
    }
    start_pacing(now() + 100000000LL, seconds);
    while (now() < stop_at + 2000000000LL && ended_streams < count) {
        write_due();
        int64_t left = paced[head]->due - now();
        step(left > 0 ? left : 0);
    }
    failures += count - ended_streams;
    report((stop_at - count_from) / 1e9);
}

static void run_requests(int connections, double seconds) {
    int64_t began = now();
    stop_at = began + seconds * 1e9;
    opened = connections;
    for (int i = 0; i < connections; i++) ask(dial());
    while (opened > 0 && now() < stop_at + 2000000000LL) step(10000000);
    report((now() - began) / 1e9);
}

int main(int argc, char **argv) {
    if (argc < 5) return fprintf(stderr, "load: four arguments are needed: see load.c\n"), 2;
    signal(SIGPIPE, SIG_IGN);
    struct rlimit files = {CONNECTIONS, CONNECTIONS};
    setrlimit(RLIMIT_NOFILE, &files);
    poller = epoll_create1(0);
    waits = malloc(SAMPLES * sizeof *waits), lags = malloc(SAMPLES * sizeof *lags);
    target = atoi(argv[2]);
    listen_on(atoi(argv[3]), false), listen_on(atoi(argv[3]) + 1, true);
    int count = atoi(argv[4]), seconds = argc > 5 ? atoi(argv[5]) : 60;
    most_requests = argc > 6 ? atol(argv[6]) : LONG_MAX;
    if (!strcmp(argv[1], "streams")) {
        mode = STREAMS, interval = 1000000000LL / atoi(argv[6]);
        run_streams(count, seconds, argc > 7 ? atoi(argv[7]) : 0, argc > 8 ? atoi(argv[8]) : 0);
    } else if (!strcmp(argv[1], "ttfb")) mode = TTFB, most_requests = count, run_requests(1, 60);
    else if (!strcmp(argv[1], "short")) mode = SHORT, run_requests(count, seconds);
    else for (mode = SERVE;;) step(1000000000);
    return 0;
}
