/* embed OUT.c FOLDER FILE...: Lua files, compiled at build time, as a C array: parsing them at each start would take most of
 * it. The files lie in FOLDER; `kernel.lua` becomes the module sandbox.kernel, `flows/refunds.lua` sandbox.flows.refunds,
 * `init.lua` sandbox itself. Lines are kept for messages, and names of files as in "sandbox/flows/refunds.lua:12". */
#include <lauxlib.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

typedef struct output {
  FILE *file;
  size_t size;
} output;

/* "flows/refunds" to "sandbox.flows.refunds"; "init" to "sandbox". */
static void module_name(char *name, size_t size, const char *relative) {
  int stem = (int)strlen(relative) - (int)strlen(".lua");
  bool init = strcmp(relative, "init.lua") == 0;
  snprintf(name, size, init ? "sandbox" : "sandbox.%.*s", stem, relative);
  for (char *c = name; *c; c++) {
    if (*c == '/') *c = '.';
  }
}

static int write_bytes(lua_State *L, const void *bytes, size_t size, void *context) {
  output *out = context;
  (void)L;
  for (size_t i = 0; i < size; i++) {
    if (fprintf(out->file, out->size++ % 24 == 23 ? "%d,\n" : "%d,", ((const unsigned char *)bytes)[i]) < 0) return 1;
  }
  return 0;
}

static bool embed_one(lua_State *L, FILE *to, const char *folder, const char *relative, int number) {
  char path[1000], chunk[300];
  output out = {to, 0};
  snprintf(path, sizeof path, "%s/%s", folder, relative);
  snprintf(chunk, sizeof chunk, "@sandbox/%s", relative);
  FILE *from = fopen(path, "rb");
  if (!from) {
    fprintf(stderr, "%s: cannot be read\n", path);
    return false;
  }
  luaL_Buffer text;
  luaL_buffinit(L, &text);
  for (size_t n = 1; n > 0;) {
    n = fread(luaL_prepbuffer(&text), 1, LUAL_BUFFERSIZE, from);
    luaL_addsize(&text, n);
  }
  fclose(from);
  luaL_pushresult(&text);
  if (luaL_loadbufferx(L, lua_tostring(L, -1), lua_rawlen(L, -1), chunk, "t") != LUA_OK) {
    fprintf(stderr, "%s\n", lua_tostring(L, -1));
    return false;
  }
  fprintf(to, "static const unsigned char module_%d[] = {\n", number);
  bool ok = lua_dump(L, write_bytes, &out, 0) == 0;
  fprintf(to, "};\n");
  lua_settop(L, 0);
  return ok;
}

static bool embed_all(lua_State *L, FILE *to, const char *folder, char **files, int count) {
  size_t skip = strlen(folder) + 1;
  fprintf(to, "/* Bytecode of the sandbox's Lua, made by lua/sandbox/embed.c. */\n#include \"embedded.h\"\n\n");
  for (int i = 0; i < count; i++) {
    if (!embed_one(L, to, folder, files[i] + skip, i)) return false;
  }
  fprintf(to, "const embedded_module embedded_modules[] = {\n");
  for (int i = 0; i < count; i++) {
    char name[300];
    module_name(name, sizeof name, files[i] + skip);
    fprintf(to, "  {\"%s\", module_%d, sizeof module_%d},\n", name, i, i);
  }
  fprintf(to, "  {0, 0, 0},\n};\n");
  return true;
}

int main(int count, char **arguments) {
  lua_State *L = luaL_newstate();
  FILE *to = count > 3 && L ? fopen(arguments[1], "wb") : NULL;
  if (!to) {
    fprintf(stderr, "usage: embed OUT.c FOLDER FILE...\n");
    return 2;
  }
  bool ok = embed_all(L, to, arguments[2], arguments + 3, count - 3);
  ok = fclose(to) == 0 && ok;
  lua_close(L);
  if (!ok) remove(arguments[1]);
  return ok ? 0 : 1;
}
