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

static bool read_float(double d, ps_value *into, const place *at) {
  if (d != d) return refuse(PyExc_ValueError, at, "NaN is not a number that can be sent");
  if (d - d != 0) return refuse(PyExc_ValueError, at, "infinity is not a number that can be sent");
  ps_value_set_double(into, d);
  return true;
}

/* A Decimal keeps its digits, without an exponent; in data it is the string that the API sends. */
static bool read_decimal(PyObject *o, ps_value *into, const reading *how, const place *at) {
  PyObject *finite = PyObject_CallMethod(o, "is_finite", NULL), *spec = PyUnicode_FromString("f");
  bool good = finite && spec && PyObject_IsTrue(finite) == 1;
  if (finite && spec && !good) refuse(PyExc_ValueError, at, "a Decimal that is not finite cannot be sent");
  PyObject *text = good ? PyObject_Format(o, spec) : NULL;
  Py_ssize_t length;
  const char *s = text ? PyUnicode_AsUTF8AndSize(text, &length) : NULL;
  if (s && how->as_data) ps_value_set_strn(into, s, (size_t)length);
  else if (s) ps_value_set_number(into, s);
  Py_XDECREF(finite);
  Py_XDECREF(spec);
  Py_XDECREF(text);
  return s != NULL;
}

/* ---- Scalars of the standard library ---- */

/* Whether `o` is an instance of a class whose module has been loaded; otherwise it can't be. -1: an error is set. */
static int is_loaded(PyObject *o, PyObject **kept, const char *module, const char *name) {
  if (!*kept) {
    PyObject *loaded = PyImport_GetModuleDict();
    PyObject *found = PyDict_GetItemString(loaded, module);
    *kept = found ? PyObject_GetAttrString(found, name) : NULL;
    if (!*kept) PyErr_Clear();
  }
  return *kept ? PyObject_IsInstance(o, *kept) : 0;
}

static bool read_method(PyObject *o, const char *method, ps_value *into, const place *at) {
  PyObject *got = PyObject_CallMethod(o, method, NULL);
  bool good = false;
  if (got && PyFloat_Check(got)) {
    PyObject *seconds = PyLong_FromDouble(PyFloat_AsDouble(got));
    good = seconds && read_int(seconds, into, at);
    Py_XDECREF(seconds);
  } else if (got) {
    good = read_text(got, into, at);
  }
  Py_XDECREF(got);
  return good;
}

/* A class that says how its instances read as text (UUID, a path, a lazy translation); containers are known by now. */
static bool has_text(PyObject *o) {
  return PyType_GetSlot(Py_TYPE(o), Py_tp_str) != PyType_GetSlot(&PyBaseObject_Type, Py_tp_str);
}

static bool read_as_text(PyObject *o, ps_value *into, const place *at) {
  PyObject *text = PyObject_Str(o);
  bool good = text && read_text(text, into, at);
  Py_XDECREF(text);
  return good;
}

static bool read_index(PyObject *o, ps_value *into, const place *at) {
  PyObject *i = PyNumber_Index(o);
  bool good = i && read_int(i, into, at);
  Py_XDECREF(i);
  return good;
}

/* What is neither a plain scalar nor a container. */
static bool read_other(PyObject *o, ps_value *into, const reading *how, const place *at) {
  static PyObject *enumeration, *decimal, *datetime, *date;
  if (is_loaded(o, &enumeration, "enum", "Enum") == 1) {
    PyObject *value = PyObject_GetAttrString(o, "value");
    bool good = value && read_any(value, into, how, at);
    Py_XDECREF(value);
    return good;
  }
  if (is_loaded(o, &decimal, "decimal", "Decimal") == 1) return read_decimal(o, into, how, at);
  if (is_loaded(o, &datetime, "datetime", "datetime") == 1) return read_method(o, "timestamp", into, at);
  if (is_loaded(o, &date, "datetime", "date") == 1) return read_method(o, "isoformat", into, at);
  if (PyErr_Occurred()) return false;
  if (PyIndex_Check(o)) return read_index(o, into, at);
  if (has_text(o)) return read_as_text(o, into, at);
  return refuse_type(o, at);
}

/* ---- Containers ---- */

static bool read_items(PyObject *list, ps_value *into, const reading *how, const place *at) {
  place item = {.parent = at, .depth = at->depth + 1};
  ps_value_set_list(into);
  PyObject *items = PySequence_Tuple(list); /* stays as it is while the caller's methods run */
  bool good = items != NULL;
  for (item.item = 0; good && item.item < PyTuple_Size(items); item.item++) {
    PyObject *o = PyTuple_GetItem(items, item.item);
    if (o != Py_None || how->keeps_null) good = read_any(o, ps_list_add(into), how, &item);
  }
  Py_XDECREF(items);
  return good;
}

/* One entry of a map: a name and its value. */
static bool read_entry(PyObject *key, PyObject *o, ps_value *into, const reading *how, const place *at) {
  const place entry = {.parent = at, .key = key, .depth = at->depth + 1};
  if (o == Py_None && !how->keeps_null) return true;
  Py_ssize_t length;
  if (PyUnicode_Check(key)) {
    const char *name = text_of(key, &length, at);
    return name && read_any(o, ps_map_setn(into, name, (size_t)length), how, &entry);
  }
  if (!PyLong_Check(key)) return refuse(PyExc_TypeError, at, "the keys of a dict must be str");
  PyObject *digits = PyObject_Str(key);
  const char *name = digits ? PyUnicode_AsUTF8AndSize(digits, &length) : NULL;
  bool good = name && read_any(o, ps_map_setn(into, name, (size_t)length), how, &entry);
  Py_XDECREF(digits);
  return good;
}

static bool read_pairs(PyObject *pairs, ps_value *into, const reading *how, const place *at) {
  bool good = pairs != NULL;
  ps_value_set_map(into);
  for (Py_ssize_t i = 0; good && i < PyList_Size(pairs); i++) {
    PyObject *pair = PyList_GetItem(pairs, i);
    good = read_entry(PyTuple_GetItem(pair, 0), PyTuple_GetItem(pair, 1), into, how, at);
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

static bool is_map(PyObject *o) {
  return PyDict_Check(o) || (PyMapping_Check(o) && !PySequence_Check(o) && PyObject_HasAttrString(o, "keys"));
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
  if (o == Py_None || o == py.unset) {
    ps_value_set_null(into);
    return true;
  }
  if (PyBool_Check(o)) {
    ps_value_set_bool(into, o == Py_True);
    return true;
  }
  if (PyLong_Check(o)) return read_int(o, into, at);
  if (PyFloat_Check(o)) return read_float(PyFloat_AsDouble(o), into, at);
  if (PyList_Check(o) || PyTuple_Check(o) || PyObject_TypeCheck(o, object_type) || is_map(o)) {
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

bool read_params(PyObject *o, bool json, ps_value **v) {
  const reading how = {.keeps_null = json};
  *v = NULL;
  if (o == Py_None) return true;
  *v = read_value(o, &how, "params");
  if (!*v || ps_type(*v, NULL) == PS_MAP) return *v != NULL;
  ps_value_free(*v);
  *v = NULL;
  PyErr_SetString(PyExc_TypeError, "params: must be a dict of names to values");
  return false;
}

bool borrow_value(PyObject *o, const char *root, const ps_value **v, ps_value **made) {
  const reading plain = {.keeps_null = false};
  *made = NULL;
  *v = NULL;
  if (o == Py_None) return true;
  if (PyCapsule_CheckExact(o)) {
    *v = PyCapsule_GetPointer(o, "ps_value");
  } else {
    *v = *made = read_value(o, &plain, root);
  }
  return *v != NULL;
}

/* The bytes of a webhook's body; anything but bytes is NULL, which the core has a message for. */
bool borrow_bytes(PyObject *o, const char **bytes, Py_ssize_t *length) {
  char *found = NULL;
  *bytes = NULL;
  *length = 0;
  if (PyBytes_Check(o) && PyBytes_AsStringAndSize(o, &found, length) < 0) return false;
  *bytes = found;
  return true;
}
