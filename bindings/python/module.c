/* What SWIG's module has beside SWIG's functions, and the handles that its functions pass. */
#include "binding.h"

#include <string.h>

hooks py;

/* ---- Capsules ---- */

/* An operation belongs to the table. */
static void free_handle(void *handle, const char *kind) {
  if (strcmp(kind, "ps_client") == 0) ps_client_free(handle);
  else if (strcmp(kind, "ps_exchange") == 0) ps_exchange_free(handle);
  else if (strcmp(kind, "ps_meter") == 0) ps_meter_free(handle);
}

static void free_capsule(PyObject *capsule) {
  const char *kind = PyCapsule_GetName(capsule);
  free_handle(PyCapsule_GetPointer(capsule, kind), kind);
}

PyObject *to_capsule(void *handle, const char *kind) {
  if (!handle) return PyErr_NoMemory();
  PyObject *capsule = PyCapsule_New(handle, kind, free_capsule);
  if (!capsule) free_handle(handle, kind);
  return capsule;
}

void *from_capsule(PyObject *capsule, const char *kind) { return PyCapsule_GetPointer(capsule, kind); }

/* ---- Types ---- */

PyTypeObject *add_type(PyObject *module, const char *name, size_t size, unsigned flags, PyType_Slot *slots) {
  PyType_Spec spec = {name, (int)size, 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | flags, slots};
  PyObject *type = PyType_FromSpec(&spec);
  if (type && PyModule_AddObjectRef(module, strrchr(name, '.') + 1, type) < 0) Py_CLEAR(type);
  return (PyTypeObject *)type;
}

void *allocate(PyTypeObject *type) { return PyType_GenericAlloc(type, 0); }

void release(void *instance) {
  PyTypeObject *type = Py_TYPE((PyObject *)instance);
  PyObject_GC_Del(instance);
  Py_DECREF(type);
}

PyObject *imported(PyObject **kept, const char *module, const char *name) {
  if (!*kept) {
    PyObject *loaded = PyImport_ImportModule(module);
    *kept = loaded ? PyObject_GetAttrString(loaded, name) : NULL;
    Py_XDECREF(loaded);
  }
  return *kept;
}

void add_item(PyObject **list, PyObject *item) {
  if (*list && (!item || PyList_Append(*list, item) < 0)) Py_CLEAR(*list);
  Py_XDECREF(item);
}

/* The interpreter raises exceptions of other threads where Python runs: in a function that does nothing. */
bool look_around(void) {
  static PyObject *kept;
  if (PyErr_CheckSignals() < 0) return false;
  PyObject *idle = imported(&kept, "pinstripe._drive", "idle");
  PyObject *none = idle ? PyObject_CallFunctionObjArgs(idle, Py_None, NULL) : NULL;
  Py_XDECREF(none);
  return none != NULL;
}

/* ---- Functions ---- */

/* core.setup(hook...): all of `hooks`, in their order, for the life of the process */
static PyObject *core_setup(PyObject *Py_UNUSED(self), PyObject *args) {
  PyObject **const all[] = {&py.base,    &py.classes,    &py.resolve, &py.inner, &py.nested,     &py.missing,
                            &py.options, &py.set_option, &py.page,    &py.unset, &py.json_scalar};
  const Py_ssize_t count = sizeof all / sizeof *all;
  if (PyTuple_Size(args) != count) return PyErr_Format(PyExc_TypeError, "setup takes %zd hooks", count);
  for (Py_ssize_t i = 0; i < count; i++) put(all[i], Py_NewRef(PyTuple_GetItem(args, i)));
  Py_RETURN_NONE;
}

static PyMethodDef functions[] = {
  {"setup", core_setup, METH_VARARGS, NULL},
  {NULL, NULL, 0, NULL},
};

/* What is static here and in the core's Python half is shared by all interpreters of a process. */
static bool is_main_interpreter(void) {
  if (PyInterpreterState_GetID(PyInterpreterState_Get()) == 0) return true;
  PyErr_SetString(PyExc_ImportError, "pinstripe works in the main interpreter only, not in a subinterpreter");
  return false;
}

bool add_binding(PyObject *module) {
  PyMethodDef *const all[] = {functions, call_functions, drive_functions, table_functions};
  bool good = is_main_interpreter() && add_reply(module) && add_object(module) && add_pager(module);
  for (size_t i = 0; good && i < sizeof all / sizeof *all; i++) good = PyModule_AddFunctions(module, all[i]) == 0;
  return good;
}
