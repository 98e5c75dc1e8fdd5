/* Value → Python. A scalar is made anew whenever it is read; what can be changed is made once, by whoever keeps it.
 *
 * Beside each value goes its type in the table, or NULL: it tells a string that holds an integer or a decimal, and the class
 * of an object. */
#include "binding.h"

#include <string.h>

PyObject *make_text(const ps_value *v) {
  size_t length;
  const char *s = ps_strn(v, NULL, &length);
  return PyUnicode_DecodeUTF8(s, (Py_ssize_t)length, "replace");
}

PyObject *make_key(const ps_value *v) {
  size_t length;
  const char *s = ps_key(v, &length);
  return PyUnicode_DecodeUTF8(s, (Py_ssize_t)length, "replace");
}

/* A number that int64 does not hold: an integer if it is written as one. */
static PyObject *make_number(const ps_value *v) {
  const char *text = ps_str(v, NULL);
  if (strspn(text, "-0123456789") == strlen(text)) return PyLong_FromString(text, NULL, 10);
  return PyFloat_FromDouble(ps_double(v, NULL));
}

static PyObject *make_decimal(const ps_value *v) {
  static PyObject *kept;
  PyObject *class = imported(&kept, "decimal", "Decimal"), *text = class ? make_text(v) : NULL;
  PyObject *decimal = text ? PyObject_CallFunctionObjArgs(class, text, NULL) : NULL;
  if (!decimal) PyErr_Clear(); /* no number: as it was sent */
  else put(&text, decimal);
  return text;
}

static PyObject *make_string(const ps_value *v, const ps_api_type *type, bool for_json) {
  ps_type_kind_id kind = type ? ps_type_kind(type) : PS_TYPE_STRING;
  if (kind == PS_TYPE_DECIMAL && !for_json) return make_decimal(v);
  if (kind != PS_TYPE_INT64) return make_text(v);
  PyObject *i = PyLong_FromString(ps_str(v, NULL), NULL, 10);
  if (i) return i;
  PyErr_Clear();
  return make_text(v);
}

/* Anything but a list or a map. */
static PyObject *make_scalar(const ps_value *v, const ps_api_type *type, bool for_json) {
  switch (ps_type(v, NULL)) {
    case PS_BOOL: return PyBool_FromLong(ps_bool(v, NULL));
    case PS_INT: return PyLong_FromLongLong(ps_int(v, NULL));
    case PS_NUMBER: return make_number(v);
    case PS_STRING: return make_string(v, type, for_json);
    default: Py_RETURN_NONE;
  }
}

const ps_api_type *field_type(const ps_api_type *type, const char *name, const ps_value *v) {
  ps_value_type is = ps_type(v, NULL);
  if (is != PS_STRING && is != PS_LIST && is != PS_MAP) return NULL;
  const ps_api_type *found = type ? ps_type_field(type, name) : NULL;
  return found || is != PS_STRING ? ps_type_resolve(found, v) : NULL;
}

static const ps_api_type *item_type(const ps_api_type *type, const ps_value *v) {
  ps_value_type is = ps_type(v, NULL);
  return is == PS_STRING || is == PS_LIST || is == PS_MAP ? ps_type_resolve(type ? ps_type_item(type) : NULL, v) : NULL;
}

/* ---- Classes ---- */

/* The class that the value's own "object" names; NULL without an error: it names none. */
static PyObject *named_class(const ps_value *v) {
  const ps_value *word = ps_map_get(v, "object", 6);
  if (ps_type(word, NULL) != PS_STRING) return NULL;
  bool is_event = strcmp(ps_str(word, NULL), "v2.core.event") == 0;
  PyObject *name = make_text(word);
  PyObject *class = name && !is_event ? PyDict_GetItemWithError(py.classes, name) : NULL;
  Py_XINCREF(class);
  if (name && !class && !PyErr_Occurred()) {
    PyObject *event = is_event ? make_text(ps_get(v, "type")) : Py_NewRef(Py_None);
    class = event ? PyObject_CallFunctionObjArgs(py.resolve, name, event, NULL) : NULL;
    Py_XDECREF(event);
  }
  Py_XDECREF(name);
  return class;
}

/* Of a page that does not say what it is. */
static PyObject *page_class(const ps_value *v, const ps_api_type *type) {
  if (ps_map_get(v, "next_page_url", 13) || ps_field_find(type, "next_page_url")) return Py_NewRef(py.page);
  PyObject *class = PyDict_GetItemString(py.classes, ps_field_find(type, "next_page") ? "search_result" : "list");
  return Py_NewRef(class ? class : py.base);
}

/* Of an object that is known by the field that it stands in. */
static PyObject *nested_class(const context *at) {
  PyObject *known = PyDict_GetItemWithError(py.inner, at->parent);
  PyObject *class = known ? PyDict_GetItemWithError(known, at->name) : NULL;
  if (class || PyErr_Occurred()) return Py_XNewRef(class);
  return PyObject_CallFunctionObjArgs(py.nested, at->parent, at->name, at->item ? Py_True : Py_False, NULL);
}

static PyObject *class_of(const context *at, const ps_value *v, const ps_api_type *type) {
  PyObject *class = named_class(v);
  if (class || PyErr_Occurred()) return class;
  ps_type_kind_id kind = type ? ps_type_kind(type) : PS_TYPE_ANY;
  if (kind == PS_TYPE_LIST) return page_class(v, type);
  if (kind != PS_TYPE_OBJECT || !at->parent || !at->name) return Py_NewRef(py.base);
  return nested_class(at);
}

/* ---- Containers ---- */

static PyObject *make_list(const context *at, const ps_value *v, const ps_api_type *type) {
  context inside = *at;
  inside.item = true;
  PyObject *list = PyList_New((Py_ssize_t)ps_count(v));
  Py_ssize_t i = 0;
  for (const ps_value *item = ps_first(v); list && item; item = ps_next(item)) {
    PyObject *o = make_value(&inside, item, item_type(type, item));
    if (o) PyList_SetItem(list, i++, o);
    else Py_CLEAR(list);
  }
  return list;
}

static PyObject *make_dict(const context *at, const ps_value *v, const ps_api_type *type) {
  context inside = *at;
  inside.item = true;
  inside.kept = NULL;
  PyObject *dict = PyDict_New();
  for (const ps_value *child = ps_first(v); dict && child; child = ps_next(child)) {
    PyObject *key = make_key(child), *o = NULL;
    PyObject *kept = key && at->kept ? PyDict_GetItemWithError(at->kept, key) : NULL;
    if (kept) o = to_plain(kept, at->for_json);
    else if (key && !PyErr_Occurred()) o = make_value(&inside, child, field_type(type, ps_key(child, NULL), child));
    if (!o || PyDict_SetItem(dict, key, o) < 0) Py_CLEAR(dict);
    Py_XDECREF(key);
    Py_XDECREF(o);
  }
  return dict;
}

PyObject *make_value(const context *at, const ps_value *v, const ps_api_type *type) {
  ps_value_type is = ps_type(v, NULL);
  if (is == PS_LIST) return make_list(at, v, type);
  if (is != PS_MAP) return make_scalar(v, type, at->for_json);
  if (at->plain) return make_dict(at, v, type);
  PyObject *class = class_of(at, v, type);
  PyObject *o = class ? new_object(class, at->reply, v, type) : NULL;
  Py_XDECREF(class);
  return o;
}

PyObject *make_plain(const ps_value *v, const ps_api_type *type, bool for_json) {
  return make_value(&(context){.plain = true, .for_json = for_json}, v, type);
}
