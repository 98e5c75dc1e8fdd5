/* Python → value. One recursive walk that only reads the caller's objects.
 *
 * A `place` for each container that is being walked lies on the C stack and points at its parent: it names the offending
 * value in a message (params.items[2].price). The tree being built belongs to read_value, which frees it on an error. */
#include "binding.h"

#include <string.h>

enum { MOST_DEPTH = 64 };

typedef struct place {
  const struct place *parent; /* NULL: the outermost */
  const char *root;           /* its name */
  PyObject *key;              /* or NULL: an item */
  Py_ssize_t item;
  int depth;
} place;

static bool read_any(PyObject *o, ps_value *into, const reading *how, const place *at);

/* ---- Naming a place ---- */

static PyObject *place_text(const place *at) {
  if (!at->parent) return PyUnicode_FromString(at->root);
  PyObject *above = place_text(at->parent), *text = NULL;
  if (above && at->key) text = PyUnicode_FromFormat("%U.%S", above, at->key);
  else if (above) text = PyUnicode_FromFormat("%U[%zd]", above, at->item);
  Py_XDECREF(above);
  return text;
}

/* Raises "params.items[2].price: why"; false, for the caller to return. */
static bool refuse(PyObject *error, const place *at, const char *why) {
  PyErr_Clear();
  PyObject *text = place_text(at);
  if (text) PyErr_Format(error, "%U: %s", text, why);
  Py_XDECREF(text);
  return false;
}

static bool refuse_type(PyObject *o, const place *at) {
  PyErr_Clear();
  PyObject *text = place_text(at), *name = PyObject_GetAttrString((PyObject *)Py_TYPE(o), "__name__");
  if (text && name) {
    PyErr_Format(
      PyExc_TypeError,
      "%U: a %U cannot be sent (expected a str, int, float, bool, Decimal, datetime, dict, list, API object, "
      "None or pinstripe.UNSET)",
      text, name);
  }
  Py_XDECREF(text);
  Py_XDECREF(name);
  return false;
}

/* ---- Text and numbers ---- */

static const char *text_of(PyObject *o, Py_ssize_t *length, const place *at) {
  const char *s = PyUnicode_AsUTF8AndSize(o, length);
  if (!s) refuse(PyExc_ValueError, at, "holds a lone surrogate, which is no text");
  return s;
}

static bool read_text(PyObject *o, ps_value *into, const place *at) {
  Py_ssize_t length;
  const char *s = text_of(o, &length, at);
  if (s) ps_value_set_strn(into, s, (size_t)length);
  return s != NULL;
}

static bool read_int(PyObject *o, ps_value *into, const place *at) {
  int overflow;
  long long i = PyLong_AsLongLongAndOverflow(o, &overflow);
  if (i == -1 && PyErr_Occurred()) return false;
  if (overflow) return refuse(PyExc_ValueError, at, "an integer must fit into 64 bits");
  ps_value_set_int(into, i);
  return true;
}

/* Data keeps what makes it a float: 20.0 is not 20. */
static bool read_float(double d, ps_value *into, const reading *how, const place *at) {
  if (d != d) return refuse(PyExc_ValueError, at, "NaN is not a number that can be sent");
  if (d - d != 0) return refuse(PyExc_ValueError, at, "infinity is not a number that can be sent");
  char *text = how->as_data ? PyOS_double_to_string(d, 'r', 0, Py_DTSF_ADD_DOT_0, NULL) : NULL;
  if (text) ps_value_set_number(into, text);
  else ps_value_set_double(into, d);
  PyMem_Free(text);
  return !PyErr_Occurred();
}

/* A Decimal keeps its digits, without an exponent; in JSON it is a string, as the API sends it. */
static bool read_decimal(PyObject *o, ps_value *into, const reading *how, const place *at) {
  PyObject *spec = PyUnicode_FromString("f"), *text = spec ? PyObject_Format(o, spec) : NULL;
  const char *s = text ? PyUnicode_AsUTF8AndSize(text, NULL) : NULL;
  bool good = s && strspn(s, "-.0123456789") == strlen(s);
  if (good && how->json) ps_value_set_str(into, s);
  else if (good) ps_value_set_number(into, s);
  else if (s) refuse(PyExc_ValueError, at, "a Decimal that is not finite cannot be sent");
  Py_XDECREF(spec);
  Py_XDECREF(text);
  return good;
}

/* ---- Scalars of the standard library ---- */

/* Whether `o` is an instance of a class whose module has been loaded; otherwise it can't be. -1: an error is set. */
static int is_loaded(PyObject *o, PyObject **kept, const char *module, const char *name) {
  if (!*kept && PyDict_GetItemString(PyImport_GetModuleDict(), module)) imported(kept, module, name);
  if (!*kept) PyErr_Clear();
  return *kept ? PyObject_IsInstance(o, *kept) : 0;
}

/* Reads what was made of a value, and lets it go; NULL: an error is set. */
static bool read_made(PyObject *made, ps_value *into, const reading *how, const place *at) {
  bool good = made && !Py_EnterRecursiveCall(" in params");
  if (good) {
    good = read_any(made, into, how, at);
    Py_LeaveRecursiveCall();
  }
  Py_XDECREF(made);
  return good;
}

/* A datetime's Unix time, in whole seconds. */
static PyObject *seconds_of(PyObject *datetime) {
  PyObject *time = PyObject_CallMethod(datetime, "timestamp", NULL), *seconds = time ? PyNumber_Long(time) : NULL;
  Py_XDECREF(time);
  return seconds;
}

/* A class that says how its instances read as text (UUID, a path, a lazy translation); containers are known by now. */
static bool has_text(PyObject *o) {
  return PyType_GetSlot(Py_TYPE(o), Py_tp_str) != PyType_GetSlot(&PyBaseObject_Type, Py_tp_str);
}

/* What is neither a plain scalar nor a container. */
static bool read_other(PyObject *o, ps_value *into, const reading *how, const place *at) {
  static PyObject *enumeration, *decimal, *datetime, *date;
  if (is_loaded(o, &enumeration, "enum", "Enum") == 1) {
    return read_made(PyObject_GetAttrString(o, "value"), into, how, at);
  }
  if (is_loaded(o, &decimal, "decimal", "Decimal") == 1) return read_decimal(o, into, how, at);
  if (is_loaded(o, &datetime, "datetime", "datetime") == 1) return read_made(seconds_of(o), into, how, at);
  if (is_loaded(o, &date, "datetime", "date") == 1) {
    return read_made(PyObject_CallMethod(o, "isoformat", NULL), into, how, at);
  }
  if (PyErr_Occurred()) return false;
  if (PyIndex_Check(o)) return read_made(PyNumber_Index(o), into, how, at);
  if (has_text(o)) return read_made(PyObject_Str(o), into, how, at);
  return refuse_type(o, at);
}

/* ---- Containers ---- */

static bool read_items(PyObject *list, ps_value *into, const reading *how, const place *at) {
  place item = {.parent = at, .depth = at->depth + 1};
  ps_value_set_list(into);
  /* A copy stays as it is while the caller's methods run; what a derived class says of its length does not count. */
  PyObject *items = PyList_Check(list) ? PyList_AsTuple(list) : PyTuple_GetSlice(list, 0, PyTuple_Size(list));
  bool good = items != NULL;
  for (item.item = 0; good && item.item < PyTuple_Size(items); item.item++) {
    PyObject *o = PyTuple_GetItem(items, item.item);
    if (o != Py_None || how->json) good = read_any(o, ps_list_add(into), how, &item);
  }
  Py_XDECREF(items);
  return good;
}

/* One entry of a map: a name and its value. */
static bool read_entry(PyObject *key, PyObject *o, ps_value *into, const reading *how, const place *at) {
  const place entry = {.parent = at, .key = key, .depth = at->depth + 1};
  if (o == Py_None && !how->json) return true;
  Py_ssize_t length;
  bool is_text = PyUnicode_Check(key);
  if (!is_text && !PyLong_Check(key)) return refuse(PyExc_TypeError, at, "the keys of a dict must be str");
  PyObject *text = is_text ? Py_NewRef(key) : PyObject_Str(key);
  const char *name = text ? text_of(text, &length, at) : NULL;
  bool good = name && read_any(o, ps_map_setn(into, name, (size_t)length), how, &entry);
  Py_XDECREF(text);
  return good;
}

static bool read_pairs(PyObject *pairs, ps_value *into, const reading *how, const place *at) {
  bool good = pairs != NULL;
  ps_value_set_map(into);
  for (Py_ssize_t i = 0; good && i < PyList_Size(pairs); i++) {
    PyObject *pair = PyList_GetItem(pairs, i);
    good = PyTuple_Size(pair) == 2 ? read_entry(PyTuple_GetItem(pair, 0), PyTuple_GetItem(pair, 1), into, how, at)
                                   : refuse(PyExc_TypeError, at, "the items() of a map must be pairs");
  }
  Py_XDECREF(pairs);
  return good;
}

static bool read_map(PyObject *map, ps_value *into, const reading *how, const place *at) {
  return read_pairs(PyDict_CheckExact(map) ? PyDict_Items(map) : PyMapping_Items(map), into, how, at);
}

/* An object of the API: its id if it has one, else its fields. */
static bool read_object(PyObject *o, ps_value *into, const reading *how, const place *at) {
  PyObject *fields = all_fields((object *)o);
  PyObject *id = fields && !how->as_data ? PyDict_GetItemString(fields, "id") : NULL;
  if (id && PyUnicode_Check(id)) return read_text(id, into, at);
  return fields && read_map(fields, into, how, at);
}

static bool read_container(PyObject *o, ps_value *into, const reading *how, const place *at) {
  if (at->depth >= MOST_DEPTH) return refuse(PyExc_ValueError, at, "is nested too deep, or contains itself");
  if (PyObject_TypeCheck(o, object_type)) return read_object(o, into, how, at);
  if (PyList_Check(o) || PyTuple_Check(o)) return read_items(o, into, how, at);
  return read_map(o, into, how, at);
}

static bool is_file(PyObject *o) {
  return PyBytes_Check(o) || PyByteArray_Check(o) || PyObject_HasAttrString(o, "read");
}

/* ---- Any ---- */

static bool read_any(PyObject *o, ps_value *into, const reading *how, const place *at) {
  if (PyUnicode_Check(o)) return read_text(o, into, at);
  bool is_null = o == Py_None || o == py.unset, is_bool = PyBool_Check(o);
  if (is_null) ps_value_set_null(into);
  if (is_bool) ps_value_set_bool(into, o == Py_True);
  if (is_null || is_bool) return true;
  if (PyLong_Check(o)) return read_int(o, into, at);
  if (PyFloat_Check(o)) return read_float(PyFloat_AsDouble(o), into, how, at);
  if (PyDict_Check(o) || PyList_Check(o) || PyTuple_Check(o) || PyObject_TypeCheck(o, object_type) ||
      (PyMapping_Check(o) && PyObject_HasAttrString(o, "items"))) {
    return read_container(o, into, how, at);
  }
  if (!is_file(o)) return read_other(o, into, how, at);
  return refuse(PyExc_TypeError, at, "bytes and files are sent only where the API takes a file");
}

ps_value *read_value(PyObject *o, const reading *how, const char *root) {
  const place at = {.root = root};
  ps_value *v = ps_value_new();
  if (read_any(o, v, how, &at) && !*ps_value_error(v)) return v;
  if (!PyErr_Occurred()) PyErr_SetString(PyExc_ValueError, ps_value_error(v));
  ps_value_free(v);
  return NULL;
}

static bool read_optional(PyObject *o, const reading *how, const char *root, ps_value **v) {
  *v = o == Py_None ? NULL : read_value(o, how, root);
  return o == Py_None || *v;
}

bool read_argument(PyObject *o, const char *root, ps_value **v) { return read_optional(o, &(reading){0}, root, v); }

bool read_params(PyObject *o, bool json, ps_value **v) {
  bool good = read_optional(o, &(reading){.json = json}, "params", v);
  if (!good || !*v || ps_type(*v, NULL) == PS_MAP) return good;
  PyErr_SetString(PyExc_TypeError, "params: must be a dict of names to values");
  return false;
}

bool borrow_bytes(PyObject *o, const char **bytes, Py_ssize_t *length) {
  char *found = NULL;
  *bytes = NULL;
  *length = 0;
  if (PyBytes_Check(o) && PyBytes_AsStringAndSize(o, &found, length) < 0) return false;
  *bytes = found;
  return true;
}

bool borrow_text(PyObject *o, const char *operation, const char *name, const char **text) {
  Py_ssize_t length = 0;
  const char *id = *operation ? ": the id " : "";
  if (!PyUnicode_Check(o)) {
    return PyErr_Format(PyExc_TypeError, "%s%s%s must be a str, not %R", operation, id, name, Py_TYPE(o));
  }
  *text = PyUnicode_AsUTF8AndSize(o, &length);
  if (*text && strlen(*text) == (size_t)length) return true;
  return PyErr_Format(PyExc_ValueError, "%s%s%s holds a %s, which no text for the API does", operation, id, name,
                      *text ? "NUL character" : "lone surrogate");
}
