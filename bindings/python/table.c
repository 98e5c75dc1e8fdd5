/* The API's table as Python walks it: a name below a service, an operation's facts, the objects' names. */
#include "binding.h"

#include <string.h>

/* (id, version, count of ids, kind, kind of what is returned, names of the ids, method, path, object that is returned or
 * listed or "", the operation itself) */
static PyObject *facts_of(const ps_api_operation *op) {
  const char *name;
  const ps_api_type *returned = ps_operation_returns(op);
  const ps_api_type *item = returned && ps_type_kind(returned) == PS_TYPE_LIST ? ps_type_item(returned) : returned;
  PyObject *ids = PyList_New(0);
  for (size_t i = 0; ids && (name = ps_operation_path_param(op, i)); i++) {
    add_item(&ids, PyUnicode_FromString(name));
  }
  if (!ids) return NULL;
  return Py_BuildValue("(siissNsssN)", ps_operation_id(op), ps_operation_version(op), (int)PyList_Size(ids),
                       ps_operation_kind(op), ps_operation_returns_kind(op), ids, ps_operation_method(op),
                       ps_operation_path(op), item ? ps_type_name(item) : "",
                       to_capsule((void *)(uintptr_t)op, "ps_operation"));
}

/* core.resolve(path of a service or "", name) → an operation's facts, the path of a service, or None */
static PyObject *core_resolve(PyObject *Py_UNUSED(self), PyObject *args) {
  const char *path, *name;
  if (!PyArg_ParseTuple(args, "ss", &path, &name)) return NULL;
  const ps_api_service *s = ps_service_find(path);
  const ps_api_operation *op = s ? ps_service_operation(s, name) : NULL;
  if (op) return facts_of(op);
  PyObject *child = *path ? PyUnicode_FromFormat("%s.%s", path, name) : PyUnicode_FromString(name);
  const char *text = child ? PyUnicode_AsUTF8AndSize(child, NULL) : NULL;
  if (text && !ps_service_find(text)) put(&child, Py_NewRef(Py_None));
  return child;
}

/* core.names(path of a service or "") → (services right below it, its operations) */
static PyObject *core_names(PyObject *Py_UNUSED(self), PyObject *args) {
  const char *path;
  if (!PyArg_ParseTuple(args, "s", &path)) return NULL;
  const ps_api_service *s = *path ? ps_service_find(path) : NULL;
  PyObject *services = PyList_New(0), *operations = PyList_New(0);
  for (const ps_api_service *c = ps_service_child(s, NULL); services && c; c = ps_service_child(s, c)) {
    const char *dot = strrchr(ps_service_path(c), '.');
    add_item(&services, PyUnicode_FromString(dot ? dot + 1 : ps_service_path(c)));
  }
  const ps_api_operation *op = s ? ps_service_operation_next(s, NULL) : NULL;
  for (; op; op = ps_service_operation_next(s, op)) add_item(&operations, PyUnicode_FromString(ps_operation_name(op)));
  return Py_BuildValue("(NN)", services, operations);
}

static const char *class_word(const ps_api_type *t) {
  return *ps_object_sdk_name(t) ? ps_object_sdk_name(t) : ps_type_name(t);
}

/* core.objects() → [(name, name in the libraries, "Charge", else its own)] */
static PyObject *core_objects(PyObject *Py_UNUSED(self), PyObject *Py_UNUSED(unused)) {
  PyObject *all = PyList_New(0);
  for (const ps_api_type *t = ps_object_next(NULL); t; t = ps_object_next(t)) {
    add_item(&all, Py_BuildValue("(ss)", ps_type_name(t), class_word(t)));
  }
  return all;
}

/* What lists and maps hold in the end. */
static const ps_api_type *inside(const ps_api_type *t, bool *is_item) {
  for (*is_item = false; t && (ps_type_kind(t) == PS_TYPE_ARRAY || ps_type_kind(t) == PS_TYPE_MAP); *is_item = true) {
    t = ps_type_item(t);
  }
  return t;
}

/* core.inner(name of an object, field...) → [(field, whether it holds several)] of the objects inside what is there */
static PyObject *core_inner(PyObject *Py_UNUSED(self), PyObject *args) {
  bool is_item;
  PyObject *all = PyList_New(0);
  const ps_api_type *t = NULL;
  for (Py_ssize_t i = 0; i < PyTuple_Size(args); i++) {
    const char *name = PyUnicode_AsUTF8AndSize(PyTuple_GetItem(args, i), NULL);
    if (!name) Py_CLEAR(all);
    if (!name) return NULL;
    t = i == 0 ? ps_object_find(name) : inside(ps_type_field(t, name), &is_item);
  }
  for (const ps_api_field *f = ps_field_next(t, NULL); all && f; f = ps_field_next(t, f)) {
    const ps_api_type *of = inside(ps_field_type(f), &is_item);
    if (ps_type_kind(of) != PS_TYPE_OBJECT || *ps_type_name(of)) continue;
    add_item(&all, Py_BuildValue("(sO)", ps_field_name(f), is_item ? Py_True : Py_False));
  }
  return all;
}

static void add_text(PyObject **list, const char *text, size_t length) {
  add_item(list, PyUnicode_FromStringAndSize(text, (Py_ssize_t)length));
}

/* core.namespaces() → the package's: "checkout", "v2", "v2.core", each after the one that it is in, and some repeatedly */
static PyObject *core_namespaces(PyObject *Py_UNUSED(self), PyObject *Py_UNUSED(unused)) {
  static const char *const others[] = {"events", "params", "v2", "test_helpers", "test_helpers.issuing"};
  PyObject *all = PyList_New(0);
  for (size_t i = 0; i < sizeof others / sizeof *others; i++) add_text(&all, others[i], strlen(others[i]));
  for (const ps_api_service *s = ps_service_next(NULL); s; s = ps_service_next(s)) {
    if (!ps_service_operation_next(s, NULL)) add_text(&all, ps_service_path(s), strlen(ps_service_path(s)));
  }
  for (const ps_api_type *t = ps_object_next(NULL); t; t = ps_object_next(t)) {
    const char *name = ps_type_name(t);
    for (const char *dot = strchr(name, '.'); dot; dot = strchr(dot + 1, '.')) {
      add_text(&all, name, (size_t)(dot - name));
    }
  }
  return all;
}

/* core.thin_events() → the types of all thin events */
static PyObject *core_thin_events(PyObject *Py_UNUSED(self), PyObject *Py_UNUSED(unused)) {
  PyObject *all = PyList_New(0);
  for (const ps_api_event *e = ps_event_next(NULL); e; e = ps_event_next(e)) {
    if (ps_event_thin(e)) add_item(&all, PyUnicode_FromString(ps_event_type(e)));
  }
  return all;
}

PyMethodDef table_functions[] = {
  {"resolve", core_resolve, METH_VARARGS, NULL},
  {"names", core_names, METH_VARARGS, NULL},
  {"objects", core_objects, METH_NOARGS, NULL},
  {"inner", core_inner, METH_VARARGS, NULL},
  {"namespaces", core_namespaces, METH_NOARGS, NULL},
  {"thin_events", core_thin_events, METH_NOARGS, NULL},
  {NULL, NULL, 0, NULL},
};
