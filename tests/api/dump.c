/* Prints the whole table as JSON, as it is seen through the functions of pinstripe.h and no other way. */
#include <stdio.h>

#include "pinstripe.h"

static const char *separator;

static void text(const char *s) {
  putchar('"');
  for (; *s != '\0'; s++) {
    if (*s == '"' || *s == '\\') putchar('\\');
    putchar(*s);
  }
  putchar('"');
}

/* The next member of a list or map: a comma unless it is the first. */
static void member(size_t index) {
  if (index > 0) putchar(',');
}

static void key(size_t index, const char *name) {
  member(index);
  text(name);
  putchar(':');
}

static void property(const char *name, const char *value) {
  fputs(separator, stdout);
  separator = ",";
  text(name);
  putchar(':');
  text(value);
}

static void type(const ps_api_type *t, unsigned flags);

static void fields(const ps_api_type *t) {
  size_t i = 0;
  fputs(",\"fields\":{", stdout);
  for (const ps_api_field *f = NULL; (f = ps_field_next(t, f)) != NULL; i++) {
    key(i, ps_field_name(f));
    type(ps_field_type(f), ps_field_flags(f));
  }
  putchar('}');
}

static void type(const ps_api_type *t, unsigned flags) {
  if (t == NULL) {
    fputs("null", stdout);
    return;
  }
  printf("{\"type\":\"%s\",\"flags\":%u", ps_type_kind_name(t), flags);
  ps_type_kind_id kind = ps_type_kind(t);
  if (kind == PS_TYPE_REF) {
    printf(",\"ref\":\"%s\"", ps_type_name(ps_type_variant(t, 0)));
  } else if (kind == PS_TYPE_OBJECT || kind == PS_TYPE_LIST || kind == PS_TYPE_RANGE) {
    fields(t);
  } else if (kind == PS_TYPE_ENUM) {
    fputs(",\"values\":[", stdout);
    for (size_t i = 0; ps_type_value(t, i) != NULL; i++) {
      member(i);
      text(ps_type_value(t, i));
    }
    putchar(']');
  } else if (kind == PS_TYPE_EXPANDABLE || kind == PS_TYPE_UNION) {
    fputs(",\"any\":[", stdout);
    for (size_t i = 0; ps_type_variant(t, i) != NULL; i++) {
      member(i);
      type(ps_type_variant(t, i), ps_type_flags(ps_type_variant(t, i)));
    }
    putchar(']');
  }
  if (ps_type_item(t) != NULL) {
    fputs(",\"items\":", stdout);
    type(ps_type_item(t), ps_type_flags(ps_type_item(t)));
  }
  putchar('}');
}

static void strings(const char *name, const char *(*at)(const ps_api_operation *op, size_t index),
                    const ps_api_operation *op) {
  printf(",\"%s\":[", name);
  for (size_t i = 0; at(op, i) != NULL; i++) {
    member(i);
    text(at(op, i));
  }
  putchar(']');
}

static void operation(const ps_api_operation *op) {
  separator = "{";
  property("id", ps_operation_id(op));
  property("name", ps_operation_name(op));
  property("service", ps_service_path(ps_operation_service(op)));
  property("method", ps_operation_method(op));
  property("path", ps_operation_path(op));
  property("base", ps_operation_base(op));
  property("kind", ps_operation_kind(op));
  property("encoding", ps_operation_encoding(op));
  property("returns_kind", ps_operation_returns_kind(op));
  property("status", ps_operation_status(op));
  property("stripe_version", ps_operation_stripe_version(op));
  property("alias_of", ps_operation_alias_of(op) == NULL ? "" : ps_operation_id(ps_operation_alias_of(op)));
  printf(",\"version\":%d,\"params_required\":%d,\"deprecated\":%d", ps_operation_version(op),
         ps_operation_params_required(op), ps_operation_deprecated(op));
  strings("path_params", ps_operation_path_param, op);
  strings("throws", ps_operation_throws, op);
  fputs(",\"params\":", stdout);
  type(ps_operation_params(op), 0);
  fputs(",\"returns\":", stdout);
  type(ps_operation_returns(op), ps_type_flags(ps_operation_returns(op)));
  putchar('}');
}

static void object(const ps_api_type *t) {
  separator = "{";
  property("name", ps_type_name(t));
  property("sdk_name", ps_object_sdk_name(t));
  property("id_prefix", ps_object_id_prefix(t));
  fputs(",\"form\":", stdout);
  type(t, ps_type_flags(t));
  fputs(",\"deleted\":", stdout);
  type(ps_object_deleted(t), ps_type_flags(ps_object_deleted(t)));
  putchar('}');
}

static void event(const ps_api_event *e) {
  printf("{\"type\":\"%s\",\"thin\":%d,\"of\":[", ps_event_type(e), ps_event_thin(e));
  for (size_t i = 0; ps_event_object(e, i) != NULL; i++) {
    member(i);
    text(ps_event_object(e, i));
  }
  fputs("],\"data\":", stdout);
  type(ps_event_data(e), ps_type_flags(ps_event_data(e)));
  putchar('}');
}

int main(void) {
  size_t i = 0;
  printf("{\"version\":\"%s\",\"operations\":[", ps_api_version());
  for (const ps_api_operation *op = NULL; (op = ps_operation_next(op)) != NULL;) {
    member(i++);
    operation(op);
  }
  fputs("],\"objects\":[", stdout);
  i = 0;
  for (const ps_api_type *t = NULL; (t = ps_object_next(t)) != NULL;) {
    member(i++);
    object(t);
  }
  fputs("],\"events\":[", stdout);
  i = 0;
  for (const ps_api_event *e = NULL; (e = ps_event_next(e)) != NULL;) {
    member(i++);
    event(e);
  }
  fputs("],\"codes\":[", stdout);
  for (i = 0; ps_api_error_code(i) != NULL; i++) {
    member(i);
    text(ps_api_error_code(i));
  }
  fputs("]}\n", stdout);
  return 0;
}
