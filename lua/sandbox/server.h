/* The front of the sandbox, which its behaviour in Lua stands behind: what the files share.
 *
 *   client ──HTTP──▶ front (libmicrohttpd) ──request──▶ behaviour (Lua)
 *     ▲                     ▲                              │  │
 *     └──── reply ──────────┴── held: delayed, awaited ◀───┘  └─delivery─▶ courier (libcurl) ──HTTP──▶ webhook endpoint
 *
 * Invariants:
 *   1 One thread, that of the sandbox, touches the Lua state, the connections and the held replies. The courier's shares
 *     two queues with it, and nothing else.
 *   2 That thread waits in one place, the loop of sandbox.c. A reply that is late is held; nothing sleeps.
 *   3 No Lua error passes through a frame of libmicrohttpd: its callbacks touch Lua through behaviour.c, protected.
 *   4 What a request needs belongs to its connection, which reuses it for the next one, until it is closed. */
#ifndef PINSTRIPE_SANDBOX_SERVER_H
#define PINSTRIPE_SANDBOX_SERVER_H

#include <lua.h>
#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/types.h>

#include "buf.h"
#include "pinstripe_sandbox.h"

enum { MOST_BODY = 64 << 20, MOST_CONTROL_BODY = 1 << 30 }; /* a snapshot comes back as a body */

/* ---- clock: milliseconds that only go on ---- */

int64_t clock_ms(void);
/* From now; seconds that are not a number or far off are cut to a year. */
int64_t clock_after(double seconds);

/* ---- reply.c: what is answered, and how ---- */

typedef struct reply {
  struct MHD_Response *response; /* NULL: the connection ends without a byte */
  unsigned status;
  bool reset;   /* it ends with a reset */
  double delay; /* seconds before anything is sent */
  char *key;    /* held until the behaviour finishes it under this name; or NULL */
  /* of a body that is given in pieces: */
  char *bytes;
  size_t length, end; /* in all; where the connection ends in the middle */
  double rate;        /* bytes a second; 0: no limit */
  int64_t since;      /* when its first byte was due; 0: not yet */
} reply;

typedef struct request request;

/* Reads the table at `index` into r's reply; raises an error if it is not a reply. */
void reply_read(lua_State *L, int index, request *r);
/* An error of the front's own, in the form of the API's. No memory: the connection ends. */
void reply_refuse(reply *p, unsigned status, const char *type, const char *message);
void reply_dispose(reply *p);

/* ---- front.c: HTTP ---- */

typedef enum { RECEIVING, HELD, READY, SENDING } request_state;

typedef struct front_header {
  const char *name, *value;
  size_t name_length, value_length;
} front_header;

/* One for each connection: the request that is under way on it. */
struct request {
  struct ps_sandbox *sandbox;
  struct MHD_Connection *connection;
  request_state state;
  ps_buf uri;     /* as it came: path and query */
  ps_buf body;    /* of at most MOST_BODY bytes */
  ps_buf headers; /* an array of front_header, which libmicrohttpd keeps the text of */
  const char *method;
  bool too_large;
  bool listed; /* among those that are held */
  reply reply;
  request *next;
  int64_t due;
};

typedef struct front {
  struct MHD_Daemon *daemon;
  request *held; /* by when they are due */
} front;

/* Takes over the listening socket. False: no memory. */
bool front_open(struct ps_sandbox *s, int listener);
/* Ends every connection. */
void front_close(struct ps_sandbox *s);
/* Answers what has come and what is due. Returns when it must be called again at the latest. */
int64_t front_run(struct ps_sandbox *s);
int front_descriptor(const front *f);
/* Lets go of the connection at `due`, when its reply, or the next piece of it, may go. */
void front_hold(request *r, int64_t due);
/* The held request whose reply waits under this name; NULL: none. */
request *front_awaited(struct ps_sandbox *s, const char *key);

/* ---- pool.c ---- */

typedef struct pool pool;

pool *pool_new(void); /* NULL: no memory */
/* A lua_Alloc, whose context is a pool. */
void *pool_allocate(void *context, void *memory, size_t old, size_t size);
void pool_free(pool *p); /* after the state is closed; NULL: nothing */

/* ---- multipart.c ---- */

/* host.multipart(body) → parts of the request under way, or nil and what is wrong */
int host_multipart(lua_State *L);

/* ---- courier.c: webhooks ---- */

typedef struct delivery delivery;
typedef struct courier courier;

/* `wake`: a descriptor of eventfd, written when an outcome is there. NULL: no memory. */
courier *courier_new(int wake);
/* Ends what is under way. */
void courier_free(courier *c); /* NULL: nothing */
/* Queues what the table at `index` says; raises an error if it is not a delivery. The first one starts the thread. */
void courier_send(lua_State *L, int index, courier *c);
/* What has been carried out, oldest first; NULL: nothing. */
delivery *courier_take(courier *c);
void delivery_free(delivery *d);
/* Pushes id, status or nil, error or nil: 3 values. */
void delivery_push(lua_State *L, const delivery *d);

/* ---- behaviour.c: the Lua state ---- */

/* Loads it. False: s->error says why. */
bool behaviour_open(struct ps_sandbox *s, const ps_sandbox_options *options);
void behaviour_close(struct ps_sandbox *s);
/* Answers a request whose body is complete: its reply is set. */
void behaviour_handle(request *r);
/* Does what is due. */
void behaviour_tick(struct ps_sandbox *s);
void behaviour_delivered(struct ps_sandbox *s, const delivery *d);
/* The sandbox that a Lua state belongs to. */
struct ps_sandbox *behaviour_sandbox(lua_State *L);

enum { KNOWN_TEXTS = 256, MOST_KNOWN = 64 /* bytes */ };

/* A string of Lua's that is kept for the next request that has it. */
typedef struct known_text {
  const char *text; /* NULL: none */
  size_t length;
} known_text;

/* ---- sandbox.c ---- */

struct ps_sandbox {
  char error[300];
  char failure[400]; /* why the behaviour failed, for the next reply; "" */
  char url[80];
  pid_t owner; /* the process that its threads belong to */
  bool started;
  pthread_t thread;
  atomic_bool stopping;
  int wake; /* eventfd: an outcome is there, or the end */
  lua_State *lua;
  pool *memory;     /* its */
  request *current; /* the one that the behaviour is answering, or NULL */
  int64_t tick_at;  /* when the behaviour wants to be called; INT64_MAX: never */
  front front;
  courier *courier;
  known_text known[KNOWN_TEXTS]; /* of headers */
};

#endif
