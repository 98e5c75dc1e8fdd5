/* The lazy object, whose class in Python is StripeObject: a map of a reply, read field by field.
 *
 *   o.amount          fields, else the value, else the class, else hooks.missing   (a field wins over a method)
 *   o["amount"]       fields, else the value, else KeyError
 *   o.amount = 5      everything is read into `fields` first; `changed` keeps the name, the value what was sent
 *
 * Names with two underscores in front are Python's own: as attributes they never reach the data. */
#include "binding.h"

#include <structmember.h>

PyTypeObject *object_type;

PyObject *new_object(PyObject *class, reply *r, const ps_value *v, const ps_api_type *type) {
  object *o = allocate((PyTypeObject *)class);
  if (!o) return NULL;
  if (!PyObject_TypeCheck((PyObject *)o, object_type)) {
    Py_DECREF(o);
    PyErr_SetString(PyExc_TypeError, "the class of an object must derive from StripeObject");
    return NULL;
  }
  o->reply = (reply *)Py_NewRef((PyObject *)r);
  o->value = v;
  o->type = type;
  return (PyObject *)o;
}

/* StripeObject(...) of Python: nothing is in it yet. */
static PyObject *object_new(PyTypeObject *class, PyObject *args, PyObject *keywords) {
  (void)args, (void)keywords;
  object *o = allocate(class);
  if (!o) return NULL;
  o->whole = true;
  o->fields = PyDict_New();
  if (!o->fields) Py_CLEAR(o);
  return (PyObject *)o;
}

static int traverse(object *o, visitproc visit, void *arg) {
  Py_VISIT(Py_TYPE(o));
  Py_VISIT((PyObject *)o->reply);
  Py_VISIT(o->fields);
  Py_VISIT(o->changed);
  Py_VISIT(o->origin);
  return 0;
}

/* Who shows a reply's text counts. */
static void set_top(object *o, bool top) {
  if (o->top && --o->reply->tops == 0) ps_result_drop_body(o->reply->result);
  o->top = top;
}

/* What the collector may take: the value stays with its reply, so an object in pieces reads as an empty one. */
static int clear(object *o) {
  o->value = NULL;
  set_top(o, false);
  Py_CLEAR(o->reply);
  Py_CLEAR(o->fields);
  Py_CLEAR(o->changed);
  Py_CLEAR(o->origin);
  return 0;
}

static void dealloc(object *o) {
  PyObject_GC_UnTrack(o);
  if (o->weakrefs) PyObject_ClearWeakRefs((PyObject *)o);
  clear(o);
  release(o);
}

/* ---- Reading ---- */

static bool keep(object *o, PyObject *name, PyObject *made) {
  if (!o->fields) o->fields = PyDict_New();
  return o->fields && PyDict_SetItem(o->fields, name, made) == 0;
}

/* The Python value of a child, which is kept if it can be changed. */
static PyObject *make_child(object *o, PyObject *name, const ps_value *child) {
  const char *key = ps_key(child, NULL);
  const context at = {o->reply, (PyObject *)Py_TYPE(o), key, false};
  PyObject *made = make_value(&at, child, field_type(o->type, key, child));
  ps_value_type is = ps_type(child, NULL);
  if (made && (is == PS_LIST || is == PS_MAP) && !keep(o, name, made)) Py_CLEAR(made);
  return made;
}

/* A field's value, a new reference. NULL: absent, or an error is set. */
static PyObject *find(object *o, PyObject *name) {
  PyObject *found = o->fields ? PyDict_GetItemWithError(o->fields, name) : NULL;
  if (found) return Py_NewRef(found);
  if (o->whole || !o->value || !PyUnicode_Check(name) || PyErr_Occurred()) return NULL;
  Py_ssize_t length;
  const char *s = PyUnicode_AsUTF8AndSize(name, &length);
  if (!s) PyErr_Clear();
  const ps_value *child = s ? ps_map_get(o->value, s, (size_t)length) : NULL;
  return child ? make_child(o, name, child) : NULL;
}

PyObject *all_fields(object *o) {
  if (o->whole) return o->fields;
  PyObject *all = PyDict_New();
  for (const ps_value *child = ps_first(o->value); all && child; child = ps_next(child)) {
    PyObject *name = make_key(child), *v = name ? find(o, name) : NULL;
    if (!v || PyDict_SetItem(all, name, v) < 0) Py_CLEAR(all);
    Py_XDECREF(name);
    Py_XDECREF(v);
  }
  if (!all) return NULL;
  put(&o->fields, all);
  o->whole = true;
  return all;
}

static bool is_own_name(PyObject *name) {
  return PyUnicode_GetLength(name) > 1 && PyUnicode_ReadChar(name, 0) == '_' && PyUnicode_ReadChar(name, 1) == '_';
}

static PyObject *getattro(object *o, PyObject *name) {
  PyObject *v = is_own_name(name) ? NULL : find(o, name);
  if (v || PyErr_Occurred()) return v;
  v = PyObject_GenericGetAttr((PyObject *)o, name);
  if (v || !PyErr_ExceptionMatches(PyExc_AttributeError) || is_own_name(name)) return v;
  PyErr_Clear();
  return PyObject_CallFunctionObjArgs(py.missing, (PyObject *)o, name, NULL);
}

static PyObject *subscript(object *o, PyObject *key) {
  PyObject *v = find(o, key);
  if (!v && !PyErr_Occurred()) PyErr_SetObject(PyExc_KeyError, key);
  return v;
}

static int contains(object *o, PyObject *key) {
  PyObject *v = find(o, key);
  if (!v) return PyErr_Occurred() ? -1 : 0;
  Py_DECREF(v);
  return 1;
}

static PyObject *iter(object *o) {
  PyObject *fields = all_fields(o);
  return fields ? PyObject_GetIter(fields) : NULL;
}

/* ---- Changing ---- */

static bool note_change(object *o, PyObject *name) {
  if (!o->changed) o->changed = PySet_New(NULL);
  return o->changed && PySet_Add(o->changed, name) == 0;
}

static int refuse_empty(PyObject *name) {
  PyErr_Format(
    PyExc_ValueError,
    "You cannot set %S to an empty string on this object. The empty string is treated specially in our requests. "
    "If you'd like to delete the property using the save() method on this object, you may set %S = None. "
    "Alternatively, you can pass %S='' to delete the property when using a resource method such as modify().",
    name, name, name);
  return -1;
}

static int assign(object *o, PyObject *name, PyObject *v) {
  if (!PyUnicode_Check(name)) {
    PyErr_SetString(PyExc_TypeError, "the names of fields are str");
    return -1;
  }
  if (v && PyUnicode_Check(v) && PyUnicode_GetLength(v) == 0) return refuse_empty(name);
  PyObject *fields = all_fields(o);
  if (!fields) return -1;
  int status = v ? PyDict_SetItem(fields, name, v) : PyDict_DelItem(fields, name);
  return status == 0 && note_change(o, name) ? 0 : -1;
}

static bool is_option(PyObject *name) {
  static const char *const options[] = {"api_key", "stripe_account", "stripe_context", "stripe_version"};
  for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
    if (PyUnicode_CompareWithASCIIString(name, options[i]) == 0) return true;
  }
  return false;
}

static int setattro(object *o, PyObject *name, PyObject *v) {
  if (is_own_name(name)) return PyObject_GenericSetAttr((PyObject *)o, name, v);
  if (v && is_option(name)) {
    PyObject *done = PyObject_CallFunctionObjArgs(py.set_option, (PyObject *)o, name, v, NULL);
    Py_XDECREF(done);
    return done ? 0 : -1;
  }
  int status = assign(o, name, v);
  if (status < 0 && !v && PyErr_ExceptionMatches(PyExc_KeyError)) PyErr_SetObject(PyExc_AttributeError, name);
  return status;
}

/* ---- Comparing, copying out ---- */

static PyObject *compare(object *a, PyObject *b, int op) {
  if ((op != Py_EQ && op != Py_NE) || !PyObject_TypeCheck(b, object_type)) return Py_NewRef(Py_NotImplemented);
  if (Py_TYPE(a) != Py_TYPE(b)) return PyBool_FromLong(op == Py_NE);
  PyObject *x = all_fields(a), *y = x ? all_fields((object *)b) : NULL;
  return y ? PyObject_RichCompare(x, y, op) : NULL;
}

static PyObject *to_plain(PyObject *v, bool for_json);

static PyObject *plain_items(PyObject *list, bool for_json) {
  Py_ssize_t count = PyList_Size(list);
  PyObject *plain = PyList_New(count);
  for (Py_ssize_t i = 0; plain && i < count; i++) {
    PyObject *item = to_plain(PyList_GetItem(list, i), for_json);
    if (item) PyList_SetItem(plain, i, item);
    else Py_CLEAR(plain);
  }
  return plain;
}

static PyObject *plain_fields(PyObject *fields, bool for_json) {
  PyObject *plain = PyDict_New(), *name, *v;
  Py_ssize_t at = 0;
  while (plain && PyDict_Next(fields, &at, &name, &v)) {
    PyObject *item = to_plain(v, for_json);
    if (!item || PyDict_SetItem(plain, name, item) < 0) Py_CLEAR(plain);
    Py_XDECREF(item);
  }
  return plain;
}

static PyObject *json_scalar(PyObject *v) {
  static PyObject *kept;
  PyObject *function = imported(&kept, "pinstripe._object", "json_scalar");
  PyObject *plain = function ? PyObject_CallFunctionObjArgs(function, v, NULL) : NULL;
  Py_XDECREF(function);
  return plain;
}

static PyObject *to_plain(PyObject *v, bool for_json) {
  PyObject *plain;
  if (PyUnicode_Check(v) || PyLong_Check(v) || v == Py_None || PyFloat_Check(v)) return Py_NewRef(v);
  if (Py_EnterRecursiveCall(" in to_dict()")) return NULL;
  if (PyObject_TypeCheck(v, object_type)) plain = to_dict((object *)v, for_json);
  else if (PyList_Check(v)) plain = plain_items(v, for_json);
  else if (PyDict_Check(v)) plain = plain_fields(v, for_json);
  else plain = for_json ? json_scalar(v) : Py_NewRef(v);
  Py_LeaveRecursiveCall();
  return plain;
}

/* What was never read is taken from the value at once. */
PyObject *to_dict(object *o, bool for_json) {
  if (o->whole) return plain_fields(o->fields, for_json);
  if (!o->fields) return make_plain(o->value, o->type, for_json);
  PyObject *plain = PyDict_New();
  for (const ps_value *child = ps_first(o->value); plain && child; child = ps_next(child)) {
    PyObject *name = make_key(child), *kept = name ? PyDict_GetItemWithError(o->fields, name) : NULL, *v = NULL;
    const char *key = ps_key(child, NULL);
    if (kept) v = to_plain(kept, for_json);
    else if (name) v = make_plain(child, field_type(o->type, key, child), for_json);
    if (!v || PyDict_SetItem(plain, name, v) < 0) Py_CLEAR(plain);
    Py_XDECREF(name);
    Py_XDECREF(v);
  }
  return plain;
}

/* o.to_dict(recursive=True, for_json=False) */
static PyObject *object_to_dict(object *o, PyObject *args, PyObject *keywords) {
  static char *names[] = {"recursive", "for_json", NULL};
  int recursive = 1, for_json = 0;
  if (!PyArg_ParseTupleAndKeywords(args, keywords, "|pp", names, &recursive, &for_json)) return NULL;
  if (recursive) return to_dict(o, for_json != 0);
  PyObject *fields = all_fields(o);
  return fields ? PyDict_Copy(fields) : NULL;
}

/* ---- For Python's side ---- */

static object *check_object(PyObject *o) {
  if (PyObject_TypeCheck(o, object_type)) return (object *)o;
  PyErr_SetString(PyExc_TypeError, "a StripeObject expected");
  return NULL;
}

PyObject *core_build(PyObject *self, PyObject *args) {
  const reading how = {.keeps_null = true, .as_data = true};
  PyObject *class, *data, *origin;
  (void)self;
  if (!PyArg_ParseTuple(args, "OOO", &class, &data, &origin)) return NULL;
  reply *r = (reply *)new_reply(NULL);
  if (!r) return NULL;
  r->origin = Py_NewRef(origin);
  r->tree = PyBytes_Check(data) ? ps_value_parse(PyBytes_AsString(data), (size_t)PyBytes_Size(data))
                                : read_value(data, &how, "values");
  PyObject *o = NULL;
  if (r->tree && *ps_value_error(r->tree)) PyErr_SetString(PyExc_ValueError, ps_value_error(r->tree));
  else if (r->tree && ps_type(r->tree, NULL) != PS_MAP) PyErr_SetString(PyExc_TypeError, "values: must be a dict");
  else if (r->tree && class == Py_None) o = make_value(&(context){.reply = r}, r->tree, ps_type_resolve(NULL, r->tree));
  else if (r->tree) o = new_object(class, r, r->tree, ps_type_resolve(NULL, r->tree));
  Py_DECREF(r);
  return o;
}

PyObject *core_adopt(PyObject *self, PyObject *args) {
  PyObject *to, *from;
  (void)self;
  if (!PyArg_ParseTuple(args, "OO", &to, &from) || !check_object(to) || !check_object(from)) return NULL;
  object *o = (object *)to, *other = (object *)from;
  PyObject *before[] = {(PyObject *)o->reply, o->fields, o->changed};
  if (other->top) other->reply->tops++;
  set_top(o, other->top);
  o->reply = (reply *)Py_XNewRef((PyObject *)other->reply);
  o->value = other->value;
  o->type = other->type;
  o->fields = other->fields ? PyDict_Copy(other->fields) : NULL;
  o->changed = NULL;
  o->whole = other->whole && o->fields;
  for (size_t i = 0; i < 3; i++) Py_XDECREF(before[i]);
  return Py_NewRef(to);
}

/* What was sent, before any change: a dict. */
static PyObject *sent(object *o) { return o->value ? make_plain(o->value, o->type, false) : PyDict_New(); }

PyObject *core_state(PyObject *self, PyObject *args) {
  PyObject *of;
  const char *name;
  (void)self;
  if (!PyArg_ParseTuple(args, "Os", &of, &name) || !check_object(of)) return NULL;
  object *o = (object *)of;
  PyObject *found = NULL;
  switch (name[0]) {
    case 'o': found = o->origin ? o->origin : o->reply ? o->reply->origin : NULL; break;
    case 'r': found = (PyObject *)o->reply; break;
    case 'l': found = o->top ? (PyObject *)o->reply : NULL; break; /* last_response */
    case 'c': found = o->changed; break;
    case 'f': found = all_fields(o); break;
    case 's': return sent(o);
    default: break;
  }
  if (!found && PyErr_Occurred()) return NULL;
  return Py_NewRef(found ? found : Py_None);
}

PyObject *core_set_origin(PyObject *self, PyObject *args) {
  PyObject *of, *origin;
  (void)self;
  if (!PyArg_ParseTuple(args, "OO", &of, &origin) || !check_object(of)) return NULL;
  put(&((object *)of)->origin, Py_NewRef(origin));
  Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
  {"to_dict", (PyCFunction)(void (*)(void))object_to_dict, METH_VARARGS | METH_KEYWORDS,
   "The fields as a dict; nested objects too, unless recursive=False."},
  {NULL, NULL, 0, NULL},
};

static PyMemberDef members[] = {
  {"__weaklistoffset__", T_PYSSIZET, offsetof(object, weakrefs), READONLY, NULL},
  {NULL, 0, 0, 0, NULL},
};

bool add_object(PyObject *module) {
  PyType_Slot slots[] = {
    SLOT(Py_tp_new, object_new),      SLOT(Py_tp_dealloc, dealloc),      SLOT(Py_tp_traverse, traverse),
    SLOT(Py_tp_clear, clear),         SLOT(Py_tp_getattro, getattro),    SLOT(Py_tp_setattro, setattro),
    SLOT(Py_mp_subscript, subscript), SLOT(Py_mp_ass_subscript, assign), SLOT(Py_sq_contains, contains),
    SLOT(Py_tp_iter, iter),           SLOT(Py_tp_richcompare, compare),  SLOT(Py_tp_hash, PyObject_HashNotImplemented),
    {Py_tp_methods, methods},         {Py_tp_members, members},          {0, NULL},
  };
  PyType_Spec spec = {
    .name = "pinstripe._core.Object",
    .basicsize = sizeof(object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE,
    .slots = slots,
  };
  object_type = add_type(module, &spec, "Object");
  return object_type != NULL;
}
