/* A program in C that embeds Lua and lends its client to a script, which sees neither the key nor any other secret.
 *
 *   cc lua_host.c $(pkg-config --cflags --libs pinstripe-lua5.4)
 *   STRIPE_API_KEY=sk_test_... ./a.out script.lua
 *
 * Without a script it runs one of its own. */
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <pinstripe.h>
#include <pinstripe_lua.h>
#include <stdio.h>
#include <stdlib.h>

static const char *const own_script =
  "for charge in stripe.charges:each({ limit = 5 }, { fields = { 'id', 'amount' } }) do\n"
  "  count = (count or 0) + 1\n"
  "  print(charge.id, charge.amount)\n"
  "  if count == 5 then break end\n"
  "end\n";

/* The client belongs to the program; each request is noted here, whoever made it. */
static void note(void *context, const ps_call_event *event) {
  int *requests = context;
  if (event->kind == PS_EVENT_REQUEST) ++*requests;
}

static int run(lua_State *L, ps_client *stripe, const char *script) {
  int status = ps_lua_push_client(L, stripe);
  if (status != 0) return status;
  lua_setglobal(L, "stripe");
  status = script ? luaL_loadfile(L, script) : luaL_loadstring(L, own_script);
  return status != 0 ? status : lua_pcall(L, 0, 0, 0);
}

int main(int argc, char **argv) {
  int requests = 0;
  ps_client_options options = PS_CLIENT_OPTIONS_INIT;
  options.api_base = getenv("PINSTRIPE_API_BASE"); /* NULL: Stripe itself */
  options.on_request = note;
  options.hook_context = &requests;
  ps_client *stripe = ps_client_new(NULL, &options);
  lua_State *L = luaL_newstate();
  luaL_openlibs(L);
  int status = run(L, stripe, argc > 1 ? argv[1] : NULL);
  if (status != 0) fprintf(stderr, "%s\n", luaL_tolstring(L, -1, NULL));
  lua_close(L);
  printf("%d requests were made\n", requests);
  ps_client_free(stripe);
  return status != 0;
}
