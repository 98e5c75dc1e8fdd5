/* pinstripe.core, the native half of the Lua package: what its files share.
 *
 *   Lua                          C
 *   client  ──userdata──▶ ps_client     counted; exchanges and iterators hold theirs
 *   call    ──userdata──▶ ps_exchange, then ps_result
 *   iter    ──userdata──▶ ps_iter ──owns──▶ the exchange of a page under way
 *   scratch ──userdata──▶ values and text that live within one function
 *   sandbox ──userdata──▶ ps_sandbox
 *   origin  ──userdata──▶ ps_result: without data, kept by the pages that came with it; or within one function
 *
 * Two invariants:
 *   1 Memory of the core belongs to a userdata, pushed before there is anything to own, so that no Lua error leaks.
 *   2 Nothing that touches Lua is called by the core, so no Lua error passes through one of its frames, or libcurl's.
 *
 * A misuse is not raised here but returned, as nil and a message: the Lua side raises it, at its caller's line. */
#ifndef PINSTRIPE_LUA_MODULE_H
#define PINSTRIPE_LUA_MODULE_H

#include "compat.h"
#include "pinstripe.h"

#define CLIENT_TYPE "pinstripe.client"
#define CALL_TYPE "pinstripe.call"
#define ITER_TYPE "pinstripe.iter"
#define METER_TYPE "pinstripe.meter"
#define SCRATCH_TYPE "pinstripe.scratch"
#define ORIGIN_TYPE "pinstripe.origin"
#define NAMED_TYPE "pinstripe.named"
#define HEADERS_TYPE "pinstripe.headers"
#define EVENT_TYPE "pinstripe.event"
#define FIELDS_TYPE "pinstripe.fields"
#define SANDBOX_TYPE "pinstripe.sandbox"
#define ARRAY_TYPE "pinstripe.array"
#define PAGE_TYPE "pinstripe.page" /* the methods of pages */
#define ERROR_TYPE "pinstripe.error"

/* A machine that a driver steps: of a call, or of the page that an iterator is fetching. */
typedef struct machine {
  ps_exchange *exchange; /* NULL: nothing under way */
  bool sending;          /* a request is out: its body may be read, its answer given */
  bool reading;          /* what the core lent is being read, with allocations by Lua in between; see close_iter */
  bool closed;           /* meanwhile */
  int attempt;           /* counts requests, so that the reader of an old one's body knows */
} machine;

/* ---- module.c ---- */

typedef struct scratch {
  ps_value *params, *options, *names;
  char *text;
} scratch;

/* Pushes one, empty. */
scratch *push_scratch(lua_State *L);
void clear_scratch(scratch *s);
/* nil and a message: what a function returns of a misuse. */
int misuse(lua_State *L, const char *format, ...);
/* The message on the top of the stack, as misuse() would. */
int misuse_pushed(lua_State *L);
/* Whether this copy of the library is the one that the Lua state has loaded. */
bool is_own_copy(lua_State *L);

/* ---- read.c: Lua → value ---- */

/* Builds `into` from the value at `index`; `root` names it in messages. False: the message is pushed. */
bool read_value(lua_State *L, int index, ps_value *into, const char *root);
/* The same for a table with string keys, leaving out the keys in `skip` (ended by NULL; or NULL). */
bool read_map(lua_State *L, int index, ps_value *into, const char *root, const char *const *skip);
/* Reads the table at `index`, or nil, with `read` into `options`, whose strings are then the scratch's. All names are
 * looked at before any value: of two mistakes, a wrong name explains more. False: the message is pushed. */
bool read_options(lua_State *L, int index, scratch *s, const char *const *skip,
                  char *(*read)(void *options, const ps_value *map), void *options);

/* ---- fields.c: which parts of a result are wanted ---- */

typedef struct field {
  const char *name;
  size_t length;
  struct field *child, *next;
  int count;  /* of children */
  bool whole; /* named itself, not only fields of it */
} field;

/* Pushes the projection that the table at `index` names, or nil for nil. False: the message is pushed. */
bool push_fields(lua_State *L, int index);
/* core.fields_at(fields, at) → the part below that node, as a projection of its own */
int core_fields_at(lua_State *L);
/* The projection at `index`; NULL for nil: everything. */
const field *to_fields(lua_State *L, int index);
/* The same as the core wants to be told, to be freed; NULL: everything. */
ps_value *new_fields_value(lua_State *L, int index);

/* ---- push.c: value → Lua ---- */

/* What the pages inside a value need to go on: stack indices of the Lua client and of the projection. */
typedef struct page_context {
  const ps_result *result;
  int client, fields;
} page_context;

/* Pushes the value, or what the projection leaves of it. `pages` NULL: lists stay plain tables. */
void push_value(lua_State *L, const ps_value *v, const field *fields, const page_context *pages);
void push_integer(lua_State *L, int64_t i);

/* ---- result.c ---- */

/* Pushes object and response, or nil and an error; returns 2. `binary`: the object is the body as it came. */
int push_result(lua_State *L, const ps_result *r, const page_context *pages, bool binary);
/* Pushes a result's error. */
void push_error(lua_State *L, const ps_result *r);
int headers_index(lua_State *L);

/* ---- client.c ---- */

ps_client *check_client(lua_State *L, int index);
void push_client(lua_State *L, ps_client *client);
int core_client(lua_State *L);
int core_scoped(lua_State *L);
int client_gc(lua_State *L);

/* ---- call.c ---- */

enum { MOST_IDS = 8 };

/* A call's arguments, read from the stack. */
typedef struct arguments {
  const char *ids[MOST_IDS + 1];
  scratch *scratch;
  ps_call_options options;
  int options_index; /* of the table of options, or 0 */
  int fields_index;  /* of the projection, or nil */
} arguments;

/* Reads ids, params and options from `first` on. False: the message is pushed. */
bool read_arguments(lua_State *L, int first, const ps_api_operation *op, const char *const *skip, arguments *a);
/* Reads the params and options at `first`, for a call that messages name `what`. */
bool read_params(lua_State *L, int first, const char *what, const char *const *skip, arguments *a);
const ps_api_operation *check_operation(lua_State *L, int index);
int core_call(lua_State *L);
int core_request(lua_State *L);
int core_fetch(lua_State *L);
int core_download(lua_State *L);
int core_authorize_url(lua_State *L);
int call_finish(lua_State *L);
int call_gc(lua_State *L);

/* ---- machine.c ---- */

machine *check_machine(lua_State *L, int index);
/* Around what reads the core's memory and allocates in Lua; returns `results`. A Lua error leaves it open: harmless. */
int end_reading(machine *m, int results);
extern const luaL_Reg machine_methods[];

/* ---- iter.c ---- */

int core_iter(lua_State *L);
int core_iter_page(lua_State *L);
int origin_gc(lua_State *L);
/* Pushes an owner of a result, empty. */
ps_result **push_result_box(lua_State *L);
/* Pushes what a page of `r` needs to go on. */
void push_origin(lua_State *L, const ps_result *r);
int iter_gc(lua_State *L);
extern const luaL_Reg iter_methods[];

/* ---- meter.c ---- */

int core_meter(lua_State *L);
int meter_gc(lua_State *L);
extern const luaL_Reg meter_methods[];

/* ---- webhook.c ---- */

int core_webhook(lua_State *L);
int core_sign(lua_State *L);

/* ---- sandbox.c ---- */

int core_sandbox(lua_State *L);
int sandbox_gc(lua_State *L);
extern const luaL_Reg sandbox_methods[];

/* ---- table.c ---- */

int named_index(lua_State *L);
extern const luaL_Reg table_functions[];

#endif
