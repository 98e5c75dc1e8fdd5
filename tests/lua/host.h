/* What the C hosts of these tests share: a Lua state that finds the package, and a client that is answered in this process. */
#ifndef LUA_TEST_HOST_H
#define LUA_TEST_HOST_H

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

#include "pinstripe.h"
#include "pinstripe_lua.h"

#if __has_include(<luajit.h>)
#define LUA_NAME "jit"
#define LUAJIT 1
#elif LUA_VERSION_NUM == 501
#define LUA_NAME "5.1"
#elif LUA_VERSION_NUM == 503
#define LUA_NAME "5.3"
#else
#define LUA_NAME "5.4"
#endif

/* Sets LUA_PATH and LUA_CPATH, so that states find the package of this tree and the module of this build. */
void host_set_paths(void);
/* Runs a script that is given as text: NULL, or its message, which lies on the stack. */
const char *host_run(lua_State *L, const char *script);

/* The same for a script of this folder. */
const char *host_run_file(lua_State *L, const char *name);

/* Answers like a small API: objects, lists of three pages, an invoice with lines, a refusal under /v1/bad. `context` counts
 * the requests (an int). */
void host_send(void *context, const ps_http_request *request, ps_http_response *response);

#endif
