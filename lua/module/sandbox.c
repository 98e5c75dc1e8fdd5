/* The sandbox, for Lua: loads libpinstripe-sandbox when a script first starts one, and owns what it starts.
 *
 *   core.sandbox(port or nil, seed or nil, listen or nil) → sandbox; or nil and why not
 *   sandbox:url(), sandbox:key(), sandbox:close()
 *
 * The library is never linked, so that scripts which talk to Stripe itself do without it and what it needs. It is looked for
 * beside this module, where an installation or a build has it, and last where the system's loader does. What could clash
 * with the program around it, Lua 5.4 above all, the library contains and hides. (RTLD_DEEPBIND would hide the rest as well,
 * and the program's malloc with it: one that was preloaded, as jemalloc, then crashes at the first string of libc's.) */
#include "module.h"

#include <dlfcn.h>
#include <stdio.h>
#include <unistd.h>

#include "pinstripe_sandbox.h"

typedef struct library {
  ps_sandbox *(*start)(const ps_sandbox_options *options);
  const char *(*error)(const ps_sandbox *sandbox);
  const char *(*url)(const ps_sandbox *sandbox);
  const char *(*key)(const ps_sandbox *sandbox);
  void (*close)(ps_sandbox *sandbox);
} library;

typedef struct owner {
  library library;
  ps_sandbox *sandbox; /* NULL: closed, or not started */
} owner;

/* Where the library may be, seen from the folder of this module: beside it, or where it is installed or built. */
static const char *const places[] = {"", "../../../", "../../../lib/", "../../../../" PS_LIBDIR "/"};

/* The folder that this module lies in, with its slash; "" if that is not known. */
static void find_folder(char *folder, size_t size) {
  Dl_info self = {.dli_fname = NULL};
  const char *slash = NULL;
  if (dladdr(places, &self) && self.dli_fname) slash = strrchr(self.dli_fname, '/');
  snprintf(folder, size, "%.*s", slash ? (int)(slash + 1 - self.dli_fname) : 0, slash ? self.dli_fname : "");
}

/* The first of these that exists is taken, or the system's; NULL: dlerror() tells. */
static void *open_library(void) {
  char folder[1000], path[1200];
  find_folder(folder, sizeof folder);
  for (size_t i = 0; *folder && i < sizeof places / sizeof *places; i++) {
    snprintf(path, sizeof path, "%s%s%s", folder, places[i], PS_LIBSANDBOX);
    if (access(path, F_OK) == 0) return dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  }
  return dlopen(PS_LIBSANDBOX, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
}

static bool load(library *l) {
  void *handle = open_library();
  if (!handle) return false;
  *(void **)&l->start = dlsym(handle, "ps_sandbox_start");
  *(void **)&l->error = dlsym(handle, "ps_sandbox_error");
  *(void **)&l->url = dlsym(handle, "ps_sandbox_url");
  *(void **)&l->key = dlsym(handle, "ps_sandbox_key");
  *(void **)&l->close = dlsym(handle, "ps_sandbox_close");
  return l->start && l->error && l->url && l->key && l->close;
}

/* ---- For Lua ---- */

static owner *check_owner(lua_State *L) {
  owner *o = test_userdata(L, 1, SANDBOX_TYPE);
  if (!o) luaL_argerror(L, 1, "a sandbox expected");
  return o;
}

static const char *text_of(const owner *o, const char *(*text)(const ps_sandbox *sandbox)) {
  return o->sandbox ? text(o->sandbox) : "";
}

/* sandbox:url() → text; "" once it is closed */
static int sandbox_url(lua_State *L) {
  const owner *o = check_owner(L);
  lua_pushstring(L, text_of(o, o->library.url));
  return 1;
}

/* sandbox:key() → text; "" once it is closed */
static int sandbox_key(lua_State *L) {
  const owner *o = check_owner(L);
  lua_pushstring(L, text_of(o, o->library.key));
  return 1;
}

/* sandbox:close(); again: nothing */
static int sandbox_close(lua_State *L) {
  owner *o = check_owner(L);
  if (o->sandbox) o->library.close(o->sandbox);
  o->sandbox = NULL;
  return 0;
}

const luaL_Reg sandbox_methods[] = {{"url", sandbox_url}, {"key", sandbox_key}, {"close", sandbox_close}, {NULL, NULL}};

int sandbox_gc(lua_State *L) { return test_userdata(L, 1, SANDBOX_TYPE) ? sandbox_close(L) : 0; }

/* Of an argument that is nil or a whole number from 0 on: -1 for nil. */
static int64_t to_count(lua_State *L, int index) {
#if LUA_HAS_INTEGERS
  return lua_isnil(L, index) ? -1 : (int64_t)luaL_checkinteger(L, index);
#else
  return lua_isnil(L, index) ? -1 : (int64_t)luaL_checknumber(L, index);
#endif
}

int core_sandbox(lua_State *L) {
  ps_sandbox_options options = PS_SANDBOX_OPTIONS_INIT;
  options.port = to_count(L, 1);
  options.seed = to_count(L, 2);
  options.listen = luaL_optstring(L, 3, NULL);
  owner *o = new_userdata(L, sizeof *o);
  o->sandbox = NULL;
  luaL_getmetatable(L, SANDBOX_TYPE);
  lua_setmetatable(L, -2);
  if (!load(&o->library)) return misuse(L, "the sandbox could not be loaded: %s", dlerror());
  o->sandbox = o->library.start(&options);
  const char *error = o->library.error(o->sandbox);
  return *error ? misuse(L, "%s", error) : 1;
}
