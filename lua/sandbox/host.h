/* The C half of the sandbox's behaviour: see host.c. */
#ifndef PINSTRIPE_SANDBOX_HOST_H
#define PINSTRIPE_SANDBOX_HOST_H

#include <lua.h>

int luaopen_sandbox_host(lua_State *L);

#endif
