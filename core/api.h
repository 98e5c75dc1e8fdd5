/* The rows of the table, as core/api/generate.py prints them: indices of 16 bits into deduplicated pools, no pointers, so
 * that everything lies in .rodata without a relocation. Only api.c, and the generator, know this layout.
 *
 *   operation ──params──▶ type ──first──▶ field, field, ... ──type──▶ type ...
 *                                   └──▶ or in `lists`: words (strings), variants (types)
 *
 * A string is an index, too. Strings are sorted, and so are operations, services, objects, events and the fields of a type:
 * names compare as their indices do. PS_NO_INDEX is "none". */
#ifndef PS_API_H
#define PS_API_H

#include "error.h"

enum {
  PS_NO_INDEX = 0xffff,
  PS_TEXT_CHUNK = 4096, /* bytes of one string literal; no string crosses from one to the next */
  PS_OPERATION_PARAMS_REQUIRED = 1,
  PS_OPERATION_DEPRECATED = 2
};

/* `first` and `count` are in `fields` for an object, a range and a list (its page), in `lists` for an enum, an expandable
 * and a union. `of` is the object that an API object is; of a reference and of what has items, a type. */
struct ps_api_type {
  uint16_t kind, flags; /* ps_type_kind_id; PS_FLAG_*: those that belong to the field are in its row */
  uint16_t first, count;
  uint16_t of;
};

struct ps_api_field {
  uint16_t name, type, flags;
};

struct ps_api_operation {
  uint16_t id, name, method, path, base, kind, encoding, returns_kind, status, stripe_version; /* strings */
  uint16_t service, params, returns, alias_of;
  uint16_t path_params, path_param_count, throws, throws_count; /* in `lists`: strings */
  uint16_t version, flags;
};

struct ps_api_service {
  uint16_t path, parent;
  uint16_t first, count; /* in `lists`: operations, by name */
};

typedef struct ps_api_object {
  uint16_t name, sdk_name, id_prefix, type, deleted;
} ps_api_object;

struct ps_api_event {
  uint16_t type, thin, data;
  uint16_t first, count; /* in `lists`: strings */
};

/* An address that is built and not called. */
typedef struct ps_api_url {
  uint16_t id, base, path, express_path, params; /* express_path "": none; params: a type */
  uint16_t first, count;                         /* in `lists`: params and what they are by default */
} ps_api_url;

/* One segment of the paths; an id's has no name and stands last among its parent's children. Node 0 is the root. */
typedef struct ps_api_route {
  uint16_t segment;
  uint16_t first, count;
  uint16_t get, post, remove; /* the operations whose path ends here */
} ps_api_route;

typedef struct ps_api_counts {
  uint16_t strings, operations, services, objects, events, urls;
  uint16_t version;           /* string */
  uint16_t string_type;       /* the type of a plain string */
  uint16_t bases, base_count; /* in `lists`: name, URL, name, URL, ... */
  uint16_t codes, code_count; /* in `lists`: strings */
} ps_api_counts;

#if defined(__GNUC__)
#pragma GCC visibility push(hidden)
#endif
extern const char ps_table_text[][PS_TEXT_CHUNK];
extern const uint32_t ps_table_strings[]; /* where each begins in the text */
extern const uint16_t ps_table_lists[];
extern const ps_api_type ps_table_types[];
extern const ps_api_field ps_table_fields[];
extern const ps_api_operation ps_table_operations[];
extern const ps_api_service ps_table_services[];
extern const ps_api_object ps_table_objects[];
extern const ps_api_event ps_table_events[];
extern const ps_api_url ps_table_urls[];
extern const ps_api_route ps_table_routes[];
extern const ps_api_counts ps_table;
#if defined(__GNUC__)
#pragma GCC visibility pop
#endif

/* An address by its id, or NULL; its base by name, its path, its params, and their defaults, "name", "text", ... */
const ps_api_url *ps_url_find(const char *id);
const char *ps_url_base(const ps_api_url *u);
const char *ps_url_path(const ps_api_url *u, bool express);
const ps_api_type *ps_url_params(const ps_api_url *u);
const char *ps_url_default(const ps_api_url *u, size_t index);

/* The field of `t`, seen as ps_type_field sees it, whose name is nearest to `name`; NULL if none is near. */
const char *ps_type_nearest_field(const ps_api_type *t, const char *name);

#endif
