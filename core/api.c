/* The table behind handles. A handle is the address of a row; a row is 16-bit indices (api.h); everything here is
 * arithmetic on them, so that nothing can fail. Two invariants keep it short:
 *
 *   sorted        what is named is found by bisecting, and `_next` is the row after
 *   seen through  ps_type_field and ps_type_resolve look through a reference to its API object; ps_field_*, ps_type_item
 *                 and ps_type_variant do not. All cycles go through references: a walk that stops at them ends. */
#include "api.h"

#include <string.h>

static const char *text(size_t string) {
  uint32_t at = ps_table_strings[string];
  return &ps_table_text[at / PS_TEXT_CHUNK][at % PS_TEXT_CHUNK];
}

static const char *list_text(uint16_t first, uint16_t count, size_t index) {
  return index < count ? text(ps_table_lists[first + index]) : NULL;
}

static const ps_api_type *type_at(uint16_t index) { return index == PS_NO_INDEX ? NULL : &ps_table_types[index]; }

/* Where `wanted` stands among `count` names in their order; `count`: nowhere. */
static size_t find(const char *(*name_at)(size_t index), size_t count, const char *wanted) {
  size_t low = 0, high = count;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    int order = strcmp(name_at(middle), wanted);
    if (order == 0) return middle;
    if (order < 0) low = middle + 1;
    else high = middle;
  }
  return count;
}

/* ---- The whole ---------------------------------------------------------------------------------------------------- */

const char *ps_api_version(void) { return text(ps_table.version); }

const char *ps_api_base(const char *name) {
  for (size_t i = 0; i < ps_table.base_count; i += 2) {
    if (strcmp(list_text(ps_table.bases, ps_table.base_count, i), name) == 0)
      return list_text(ps_table.bases, ps_table.base_count, i + 1);
  }
  return NULL;
}

const char *ps_api_error_code(size_t index) { return list_text(ps_table.codes, ps_table.code_count, index); }

/* ---- Services ----------------------------------------------------------------------------------------------------- */

static const char *service_path(size_t index) { return text(ps_table_services[index].path); }

static const ps_api_service *service_at(size_t index) {
  return index < ps_table.services ? &ps_table_services[index] : NULL;
}

const ps_api_service *ps_service_find(const char *path) {
  return service_at(find(service_path, ps_table.services, path));
}

const ps_api_service *ps_service_next(const ps_api_service *after) {
  return service_at(after == NULL ? 0 : (size_t)(after - ps_table_services) + 1);
}

const char *ps_service_path(const ps_api_service *s) { return text(s->path); }

const ps_api_service *ps_service_child(const ps_api_service *s, const ps_api_service *after) {
  size_t parent = s == NULL ? PS_NO_INDEX : (size_t)(s - ps_table_services);
  const ps_api_service *child = ps_service_next(after == NULL ? s : after);
  while (child != NULL && child->parent != parent) child = ps_service_next(child);
  return child;
}

static const ps_api_operation *service_operation(const ps_api_service *s, size_t index) {
  return index < s->count ? &ps_table_operations[ps_table_lists[s->first + index]] : NULL;
}

const ps_api_operation *ps_service_operation(const ps_api_service *s, const char *name) {
  for (size_t i = 0; i < s->count; i++) {
    const ps_api_operation *op = service_operation(s, i);
    if (strcmp(text(op->name), name) == 0) return op;
  }
  return NULL;
}

const ps_api_operation *ps_service_operation_next(const ps_api_service *s, const ps_api_operation *after) {
  size_t i = 0;
  while (after != NULL && i < s->count && service_operation(s, i++) != after) {}
  return service_operation(s, i);
}

/* ---- Operations --------------------------------------------------------------------------------------------------- */

static const char *operation_id(size_t index) { return text(ps_table_operations[index].id); }

static const ps_api_operation *operation_at(size_t index) {
  return index < ps_table.operations ? &ps_table_operations[index] : NULL;
}

const ps_api_operation *ps_operation_find(const char *id) {
  return operation_at(find(operation_id, ps_table.operations, id));
}

const ps_api_operation *ps_operation_next(const ps_api_operation *after) {
  return operation_at(after == NULL ? 0 : (size_t)(after - ps_table_operations) + 1);
}

static const char *operation_word(void *context, size_t index) {
  (void)context;
  return index < ps_table.operations ? operation_id(index) : NULL;
}

const char *ps_api_nearest_operation(const char *id) { return ps_nearest(id, operation_word, NULL); }

static bool segment_is(const ps_api_route *node, const char *segment, size_t length) {
  if (node->segment == PS_NO_INDEX) return true;
  const char *wanted = text(node->segment);
  return strncmp(wanted, segment, length) == 0 && wanted[length] == '\0';
}

static const ps_api_operation *route_end(const ps_api_route *node, const char *method) {
  if (strcmp(method, "GET") == 0) return operation_at(node->get);
  if (strcmp(method, "POST") == 0) return operation_at(node->post);
  return strcmp(method, "DELETE") == 0 ? operation_at(node->remove) : NULL;
}

/* `path` stands before the "/" of a segment below `node`, or at the end. The id stands last among the children, so that a
 * literal segment wins, unless what follows it leads nowhere. */
static const ps_api_operation *route(const ps_api_route *node, const char *method, const char *path) {
  if (strchr("?#", *path) != NULL) return route_end(node, method);
  size_t length = *path == '/' ? strcspn(path + 1, "/?#") : 0;
  const ps_api_operation *op = NULL;
  for (size_t i = 0; length > 0 && op == NULL && i < node->count; i++) {
    const ps_api_route *child = &ps_table_routes[node->first + i];
    if (segment_is(child, path + 1, length)) op = route(child, method, path + 1 + length);
  }
  return op;
}

const ps_api_operation *ps_operation_route(const char *method, const char *path) {
  return route(ps_table_routes, method, path);
}

const char *ps_operation_id(const ps_api_operation *op) { return text(op->id); }

const char *ps_operation_name(const ps_api_operation *op) { return text(op->name); }

const ps_api_service *ps_operation_service(const ps_api_operation *op) { return &ps_table_services[op->service]; }

const char *ps_operation_method(const ps_api_operation *op) { return text(op->method); }

const char *ps_operation_path(const ps_api_operation *op) { return text(op->path); }

const char *ps_operation_path_param(const ps_api_operation *op, size_t index) {
  return list_text(op->path_params, op->path_param_count, index);
}

const char *ps_operation_base(const ps_api_operation *op) { return text(op->base); }

int ps_operation_version(const ps_api_operation *op) { return op->version; }

const char *ps_operation_kind(const ps_api_operation *op) { return text(op->kind); }

const char *ps_operation_encoding(const ps_api_operation *op) { return text(op->encoding); }

bool ps_operation_params_required(const ps_api_operation *op) {
  return (op->flags & PS_OPERATION_PARAMS_REQUIRED) != 0;
}

const ps_api_type *ps_operation_params(const ps_api_operation *op) { return type_at(op->params); }

const char *ps_operation_returns_kind(const ps_api_operation *op) { return text(op->returns_kind); }

const ps_api_type *ps_operation_returns(const ps_api_operation *op) { return type_at(op->returns); }

const char *ps_operation_throws(const ps_api_operation *op, size_t index) {
  return list_text(op->throws, op->throws_count, index);
}

const ps_api_operation *ps_operation_alias_of(const ps_api_operation *op) { return operation_at(op->alias_of); }

const char *ps_operation_stripe_version(const ps_api_operation *op) { return text(op->stripe_version); }

const char *ps_operation_status(const ps_api_operation *op) { return text(op->status); }

bool ps_operation_deprecated(const ps_api_operation *op) { return (op->flags & PS_OPERATION_DEPRECATED) != 0; }

/* ---- Types -------------------------------------------------------------------------------------------------------- */

static bool has_fields(const ps_api_type *t) {
  return t != NULL && (t->kind == PS_TYPE_OBJECT || t->kind == PS_TYPE_LIST || t->kind == PS_TYPE_RANGE);
}

static bool has_variants(const ps_api_type *t) {
  return t != NULL && (t->kind == PS_TYPE_EXPANDABLE || t->kind == PS_TYPE_UNION);
}

static const ps_api_type *see_through(const ps_api_type *t) {
  return t != NULL && t->kind == PS_TYPE_REF ? type_at(t->of) : t;
}

static const ps_api_object *object_of(const ps_api_type *t) {
  t = see_through(t);
  return t != NULL && t->kind == PS_TYPE_OBJECT && t->of != PS_NO_INDEX ? &ps_table_objects[t->of] : NULL;
}

ps_type_kind_id ps_type_kind(const ps_api_type *t) { return t == NULL ? PS_TYPE_ANY : (ps_type_kind_id)t->kind; }

const char *ps_type_kind_name(const ps_api_type *t) {
  static const char names[][11] = {"any",     "string", "int",   "number", "bool",       "timestamp",
                                   "decimal", "int64",  "file",  "enum",   "object",     "array",
                                   "map",     "list",   "range", "ref",    "expandable", "union"};
  _Static_assert(PS_TYPE_UNION + 1 == sizeof names / sizeof *names, "a name for each kind");
  return names[ps_type_kind(t)];
}

unsigned ps_type_flags(const ps_api_type *t) { return t == NULL ? 0 : t->flags; }

const char *ps_type_name(const ps_api_type *t) {
  const ps_api_object *object = object_of(t);
  return object == NULL ? "" : text(object->name);
}

const ps_api_type *ps_type_item(const ps_api_type *t) {
  switch (ps_type_kind(t)) {
    case PS_TYPE_ARRAY:
    case PS_TYPE_MAP:
    case PS_TYPE_LIST:
    case PS_TYPE_RANGE: return type_at(t->of);
    default: return NULL;
  }
}

const ps_api_type *ps_type_variant(const ps_api_type *t, size_t index) {
  if (has_variants(t)) return index < t->count ? type_at(ps_table_lists[t->first + index]) : NULL;
  return t != NULL && t->kind == PS_TYPE_REF && index == 0 ? type_at(t->of) : NULL;
}

const char *ps_type_value(const ps_api_type *t, size_t index) {
  return t != NULL && t->kind == PS_TYPE_ENUM ? list_text(t->first, t->count, index) : NULL;
}

const ps_api_field *ps_field_find(const ps_api_type *t, const char *name) {
  size_t string = has_fields(t) ? find(text, ps_table.strings, name) : ps_table.strings;
  for (size_t i = 0; string < ps_table.strings && i < t->count; i++) {
    if (ps_table_fields[t->first + i].name == string) return &ps_table_fields[t->first + i];
  }
  return NULL;
}

const ps_api_field *ps_field_next(const ps_api_type *t, const ps_api_field *after) {
  if (!has_fields(t)) return NULL;
  size_t i = after == NULL ? 0 : (size_t)(after - &ps_table_fields[t->first]) + 1;
  return i < t->count ? &ps_table_fields[t->first + i] : NULL;
}

const char *ps_field_name(const ps_api_field *f) { return text(f->name); }

const ps_api_type *ps_field_type(const ps_api_field *f) { return type_at(f->type); }

unsigned ps_field_flags(const ps_api_field *f) { return f->flags | ps_table_types[f->type].flags; }

/* ---- Objects and events ------------------------------------------------------------------------------------------- */

static const char *object_name(size_t index) { return text(ps_table_objects[index].name); }

static const ps_api_type *object_at(size_t index) {
  return index < ps_table.objects ? type_at(ps_table_objects[index].type) : NULL;
}

const ps_api_type *ps_object_find(const char *name) { return object_at(find(object_name, ps_table.objects, name)); }

const ps_api_type *ps_object_next(const ps_api_type *after) {
  const ps_api_object *object = object_of(after);
  return object_at(object == NULL ? 0 : (size_t)(object - ps_table_objects) + 1);
}

const ps_api_type *ps_object_deleted(const ps_api_type *object) {
  const ps_api_object *o = object_of(object);
  return o == NULL ? NULL : type_at(o->deleted);
}

const char *ps_object_id_prefix(const ps_api_type *object) {
  const ps_api_object *o = object_of(object);
  return o == NULL ? "" : text(o->id_prefix);
}

const char *ps_object_sdk_name(const ps_api_type *object) {
  const ps_api_object *o = object_of(object);
  return o == NULL ? "" : text(o->sdk_name);
}

static const char *url_id(size_t index) { return text(ps_table_urls[index].id); }

const ps_api_url *ps_url_find(const char *id) {
  size_t index = find(url_id, ps_table.urls, id);
  return index < ps_table.urls ? &ps_table_urls[index] : NULL;
}

bool ps_service_has_url(const ps_api_service *s, const char *name) {
  size_t length = strlen(ps_service_path(s));
  for (size_t i = 0; i < ps_table.urls; i++) {
    const char *id = url_id(i);
    if (strncmp(id, ps_service_path(s), length) == 0 && id[length] == '.' && strcmp(id + length + 1, name) == 0) {
      return true;
    }
  }
  return false;
}

const char *ps_url_base(const ps_api_url *u) { return text(u->base); }

const char *ps_url_path(const ps_api_url *u, bool express) { return text(express ? u->express_path : u->path); }

const ps_api_type *ps_url_params(const ps_api_url *u) { return type_at(u->params); }

const char *ps_url_default(const ps_api_url *u, size_t index) { return list_text(u->first, u->count, index); }

static const char *event_type(size_t index) { return text(ps_table_events[index].type); }

static const ps_api_event *event_at(size_t index) { return index < ps_table.events ? &ps_table_events[index] : NULL; }

const ps_api_event *ps_event_find(const char *type) { return event_at(find(event_type, ps_table.events, type)); }

const ps_api_event *ps_event_next(const ps_api_event *after) {
  return event_at(after == NULL ? 0 : (size_t)(after - ps_table_events) + 1);
}

const char *ps_event_type(const ps_api_event *e) { return text(e->type); }

bool ps_event_thin(const ps_api_event *e) { return e->thin != 0; }

const char *ps_event_object(const ps_api_event *e, size_t index) { return list_text(e->first, e->count, index); }

const ps_api_type *ps_event_data(const ps_api_event *e) { return type_at(e->data); }

/* ---- The type beside a value -------------------------------------------------------------------------------------- */

static bool is_index(const char *name) { return name[0] != '\0' && name[strspn(name, "0123456789")] == '\0'; }

const ps_api_type *ps_type_field(const ps_api_type *t, const char *name) {
  t = see_through(t);
  if (has_fields(t)) {
    const ps_api_field *f = ps_field_find(t, name);
    return f == NULL ? NULL : ps_field_type(f);
  }
  if (has_variants(t)) {
    const ps_api_type *found = NULL;
    for (size_t i = 0; found == NULL && i < t->count; i++) {
      found = ps_type_field(ps_type_variant(t, i), name);
    }
    return found;
  }
  return ps_type_kind(t) == PS_TYPE_ARRAY && !is_index(name) ? NULL : ps_type_item(t);
}

/* Field number `*index` of all that `t` may have; counts `*index` down by those that it passes. */
static const char *nth_field(const ps_api_type *t, size_t *index) {
  t = see_through(t);
  if (has_fields(t)) {
    if (*index < t->count) return text(ps_table_fields[t->first + *index].name);
    *index -= t->count;
  }
  const char *name = NULL;
  for (size_t i = 0; has_variants(t) && name == NULL && i < t->count; i++) {
    name = nth_field(ps_type_variant(t, i), index);
  }
  return name;
}

static const char *field_word(void *context, size_t index) { return nth_field(*(const ps_api_type **)context, &index); }

const char *ps_type_nearest_field(const ps_api_type *t, const char *name) { return ps_nearest(name, field_word, &t); }

/* What the value says that it is, by its "object" and "deleted". */
static const ps_api_type *named_by(const ps_value *v) {
  const ps_api_type *t = ps_object_find(ps_str(ps_map_get(v, "object", 6), NULL));
  bool gone = ps_object_deleted(t) != NULL && ps_bool(ps_map_get(v, "deleted", 7), NULL);
  return gone ? ps_object_deleted(t) : t;
}

static bool has_word(const ps_api_type *t, const char *word) {
  for (size_t i = 0; i < t->count; i++) {
    if (strcmp(ps_type_value(t, i), word) == 0) return true;
  }
  return (t->flags & PS_FLAG_OPEN) != 0;
}

/* Whether a map can be of this type: an API object says so itself; any other may, unless its "object" is another. */
static bool accepts_map(const ps_api_type *t, const ps_value *v) {
  if (t->kind == PS_TYPE_REF) return type_at(t->of) == named_by(v);
  const ps_api_type *object = ps_type_field(t, "object");
  const ps_value *said = ps_map_get(v, "object", 6);
  bool is_another = said != NULL && ps_type_kind(object) == PS_TYPE_ENUM && !has_word(object, ps_str(said, NULL));
  return t->kind == PS_TYPE_MAP || (has_fields(t) && !is_another);
}

static bool accepts(const ps_api_type *t, const ps_value *v) {
  switch (ps_type(v, NULL)) {
    case PS_MAP: return accepts_map(t, v);
    case PS_LIST: return t->kind == PS_TYPE_ARRAY;
    case PS_BOOL: return t->kind == PS_TYPE_BOOL;
    case PS_INT: return t->kind == PS_TYPE_INT || t->kind == PS_TYPE_TIMESTAMP || t->kind == PS_TYPE_NUMBER;
    case PS_NUMBER: return t->kind == PS_TYPE_NUMBER;
    case PS_STRING:
      return t->kind == PS_TYPE_ENUM
               ? has_word(t, ps_str(v, NULL))
               : t->kind == PS_TYPE_STRING || t->kind == PS_TYPE_DECIMAL || t->kind == PS_TYPE_INT64;
    default: return false;
  }
}

static const ps_api_type *resolve_variant(const ps_api_type *t, const ps_value *v) {
  for (size_t i = 0; i < t->count; i++) {
    const ps_api_type *variant = ps_type_variant(t, i);
    if (accepts(variant, v)) return ps_type_resolve(variant, v);
  }
  if (t->kind == PS_TYPE_EXPANDABLE && ps_type(v, NULL) == PS_STRING) return type_at(ps_table.string_type);
  const ps_api_type *named = named_by(v);
  return named == NULL ? t : named;
}

/* A server newer than the table may send another object than the table has: the object's own word wins. */
const ps_api_type *ps_type_resolve(const ps_api_type *t, const ps_value *v) {
  t = see_through(t);
  if (has_variants(t)) return resolve_variant(t, v);
  bool open = t == NULL || t->kind == PS_TYPE_ANY || (t->kind == PS_TYPE_OBJECT && t->count == 0);
  const ps_api_type *named = open || object_of(t) != NULL ? named_by(v) : NULL;
  if (named == NULL || (!open && named->of == t->of && (named->flags & PS_FLAG_DELETED) == 0)) return t;
  return named;
}
