/* The rows of the table, as the generator prints them: indices of 16 bits into deduplicated pools, no pointers, so that
 * everything lies in .rodata without a relocation. Only api.c, and the generator, know this layout.
 *
 *   operation ──params──▶ type ──first──▶ field, field, ... ──type──▶ type ...
 *   string s = text + offset[s]; the pool is sorted, so that names compare as their indices do */
#ifndef PS_API_H
#define PS_API_H

#include "error.h"

enum { PS_NO_INDEX = 0xffff };

struct ps_api_type {
  uint8_t kind;          /* ps_type_kind_id */
  uint8_t spare;
  uint16_t flags;        /* PS_FLAG_*; of an item, those that a field's row has elsewhere */
  uint16_t first, count; /* object: fields; enum: words (strings); expandable, union, ref: variants (types); array, map,
                            list, range: `first` is the item's type */
  uint16_t object;       /* the API object that this is, or PS_NO_INDEX */
};

struct ps_api_field {
  uint16_t name, type, flags;
};

struct ps_api_operation {
  uint16_t id, name, service, path, params, returns, alias_of, stripe_version;
  uint16_t throws_first;
  uint8_t throws_count, method, base, version, kind, encoding, returns_kind, status, flags;
};

struct ps_api_service {
  uint16_t path, first_operation, operation_count;
};

struct ps_api_object {
  uint16_t name, sdk_name, id_prefix, type, deleted;
};

struct ps_api_event {
  uint16_t type, objects_first, data;
  uint8_t object_count, thin;
};

enum { PS_OPERATION_PARAMS_REQUIRED = 1, PS_OPERATION_DEPRECATED = 2 };

#endif
