/* The lazy object, whose class in Python is StripeObject: a map of a reply, read field by field.
 *
 *   o.amount          fields, else the value, else the class, else hooks.missing   (a field wins over a method)
 *   o["amount"]       fields, else the value, else KeyError
 *   o.amount = 5      everything is read into `fields` first; `changed` keeps the name, the value what was sent
 *
 * Attributes whose names begin with an underscore are Python's and the program's own: they never reach the data. */
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
static PyObject *object_new(PyTypeObject *class, PyObject *Py_UNUSED(args), PyObject *Py_UNUSED(keywords)) {
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
  if (o->top && o->reply && --o->reply->tops == 0) ps_result_drop_body(o->reply->result);
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

/* Making a value may run Python, and so other threads: what they have kept or changed by then stays, and the reply is
 * held for as long as its values are read. */
static PyObject *keep(object *o, const reply *r, PyObject *name, PyObject *made) {
  if (made && !o->fields) o->fields = PyDict_New();
  PyObject *other = o->fields ? PyDict_GetItemWithError(o->fields, name) : NULL;
  if (other) put(&made, Py_NewRef(other));
  else if (made && o->reply == r && (!o->fields || PyDict_SetItem(o->fields, name, made) < 0)) Py_CLEAR(made);
  return made;
}

/* The Python value of a child, which is kept if it can be changed. */
static PyObject *make_child(object *o, PyObject *name, const ps_value *child) {
  const char *key = ps_key(child, NULL);
  ps_value_type is = ps_type(child, NULL);
  const context at = {
    .reply = (reply *)Py_NewRef((PyObject *)o->reply), .parent = (PyObject *)Py_TYPE(o), .name = name};
  PyObject *made = make_value(&at, child, field_type(o->type, key, child));
  if (is == PS_LIST || is == PS_MAP) made = keep(o, at.reply, name, made);
  Py_DECREF((PyObject *)at.reply);
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

static PyObject *read_all(object *o) {
  reply *held = (reply *)Py_XNewRef((PyObject *)o->reply);
  PyObject *all = PyDict_New();
  for (const ps_value *child = ps_first(o->value); all && child; child = ps_next(child)) {
    PyObject *name = make_key(child), *v = name ? find(o, name) : NULL;
    if (!v || PyDict_SetItem(all, name, v) < 0) Py_CLEAR(all);
    Py_XDECREF(name);
    Py_XDECREF(v);
  }
  Py_XDECREF((PyObject *)held);
  return all;
}

PyObject *all_fields(object *o) {
  PyObject *all = o->whole ? NULL : read_all(o);
  if (all && o->whole) Py_DECREF(all);
  else if (all) put(&o->fields, all);
  o->whole = o->whole || all;
  return o->whole ? o->fields : NULL;
}

static bool is_own_name(PyObject *name) {
  return PyUnicode_Check(name) && PyUnicode_GetLength(name) > 0 && PyUnicode_ReadChar(name, 0) == '_';
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
  if (status < 0) return status;
  if (!o->changed) o->changed = PySet_New(NULL);
  return o->changed ? PySet_Add(o->changed, name) : -1;
}

static int setattro(object *o, PyObject *name, PyObject *v) {
  if (is_own_name(name)) return PyObject_GenericSetAttr((PyObject *)o, name, v);
  int is_option = v ? PySequence_Contains(py.options, name) : 0;
  if (is_option < 0) return -1;
  if (is_option) {
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
  PyObject *x = Py_XNewRef(all_fields(a)), *y = x ? Py_XNewRef(all_fields((object *)b)) : NULL;
  PyObject *is = y ? PyObject_RichCompare(x, y, op) : NULL;
  Py_XDECREF(x);
  Py_XDECREF(y);
  return is;
}

static PyObject *plain_items(PyObject *list, bool for_json) {
  PyObject *plain = PyList_New(0);
  for (Py_ssize_t i = 0; plain && i < PyList_Size(list); i++) {
    add_item(&plain, to_plain(PyList_GetItem(list, i), for_json));
  }
  return plain;
}

/* Walks a copy: the fields may be changed, and let go of, while the text of a value is made. */
static PyObject *plain_fields(PyObject *fields, bool for_json) {
  PyObject *copy = PyDict_Copy(fields), *plain = copy ? PyDict_New() : NULL, *name, *v;
  Py_ssize_t at = 0;
  while (plain && PyDict_Next(copy, &at, &name, &v)) {
    PyObject *item = to_plain(v, for_json);
    if (!item || PyDict_SetItem(plain, name, item) < 0) Py_CLEAR(plain);
    Py_XDECREF(item);
  }
  Py_XDECREF(copy);
  return plain;
}

PyObject *to_plain(PyObject *v, bool for_json) {
  PyObject *plain; /* making it may run Python, which may let go of what holds `v` */
  if (PyUnicode_Check(v) || PyLong_Check(v) || v == Py_None || PyFloat_Check(v)) return Py_NewRef(v);
  if (Py_EnterRecursiveCall(" in to_dict()")) return NULL;
  Py_INCREF(v);
  if (PyObject_TypeCheck(v, object_type)) plain = to_dict((object *)v, for_json);
  else if (PyList_Check(v)) plain = plain_items(v, for_json);
  else if (PyDict_Check(v)) plain = plain_fields(v, for_json);
  else plain = for_json ? PyObject_CallFunctionObjArgs(py.json_scalar, v, NULL) : Py_NewRef(v);
  Py_DECREF(v);
  Py_LeaveRecursiveCall();
  return plain;
}

/* The value at once; `kept`: what stands in place of its children. */
static PyObject *plain_value(object *o, PyObject *kept, bool for_json) {
  reply *held = (reply *)Py_XNewRef((PyObject *)o->reply);
  const context at = {.kept = Py_XNewRef(kept), .plain = true, .for_json = for_json};
  PyObject *plain = make_value(&at, o->value, o->type);
  Py_XDECREF(at.kept);
  Py_XDECREF((PyObject *)held);
  return plain;
}

PyObject *to_dict(object *o, bool for_json) {
  return o->whole ? plain_fields(o->fields, for_json) : plain_value(o, o->fields, for_json);
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

/* core.build(class or None, data, origin) → an object of a fixture's data */
static PyObject *core_build(PyObject *Py_UNUSED(self), PyObject *args) {
  const reading how = {.json = true, .as_data = true};
  PyObject *class, *data, *origin;
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

/* core.adopt(object, other): the object takes over what the other one is, but keeps the params of its own retrieval where
 * the other one's call has none: `expand` outlives a confirm(). */
static PyObject *core_adopt(PyObject *Py_UNUSED(self), PyObject *args) {
  object *o, *other;
  if (!PyArg_ParseTuple(args, "O!O!", object_type, &o, object_type, &other)) return NULL;
  PyObject *before[] = {(PyObject *)o->reply, o->fields, o->changed};
  PyObject *fields = other->fields ? PyDict_Copy(other->fields) : NULL;
  if (other->fields && !fields) return NULL;
  if (other->top) other->reply->tops++;
  if (other->reply && !other->reply->params && o->reply && o->top) other->reply->params = Py_XNewRef(o->reply->params);
  set_top(o, other->top);
  o->reply = (reply *)Py_XNewRef((PyObject *)other->reply);
  o->value = other->value;
  o->type = other->type;
  o->fields = fields;
  o->changed = NULL;
  o->whole = other->whole;
  for (size_t i = 0; i < 3; i++) Py_XDECREF(before[i]);
  return Py_NewRef((PyObject *)o);
}

/* core.state(object, name) → what the object keeps for itself */
static PyObject *core_state(PyObject *Py_UNUSED(self), PyObject *args) {
  object *o;
  const char *name;
  if (!PyArg_ParseTuple(args, "O!s", object_type, &o, &name)) return NULL;
  PyObject *found = NULL;
  switch (name[0]) {
    case 'o': found = o->origin ? o->origin : o->reply ? o->reply->origin : NULL; break;
    case 'r': found = (PyObject *)o->reply; break;
    case 'l': found = o->top ? (PyObject *)o->reply : NULL; break; /* last_response */
    case 'c': found = o->changed; break;
    case 'f': found = all_fields(o); break;
    case 's': return o->value ? plain_value(o, NULL, false) : PyDict_New(); /* before any change */
    default: break;
  }
  if (!found && PyErr_Occurred()) return NULL;
  return Py_NewRef(found ? found : Py_None);
}

/* core.set_origin(object, origin) */
static PyObject *core_set_origin(PyObject *Py_UNUSED(self), PyObject *args) {
  object *o;
  PyObject *origin;
  if (!PyArg_ParseTuple(args, "O!O", object_type, &o, &origin)) return NULL;
  put(&o->origin, Py_NewRef(origin));
  Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
  {"to_dict", (PyCFunction)(void (*)(void))object_to_dict, METH_VARARGS | METH_KEYWORDS,
   "The fields as a dict; nested objects too, unless recursive=False."},
  {NULL, NULL, 0, NULL},
};

static PyMethodDef functions[] = {
  {"build", core_build, METH_VARARGS, NULL},
  {"adopt", core_adopt, METH_VARARGS, NULL},
  {"state", core_state, METH_VARARGS, NULL},
  {"set_origin", core_set_origin, METH_VARARGS, NULL},
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
  object_type = add_type(module, "pinstripe._core.Object", sizeof(object), Py_TPFLAGS_BASETYPE, slots);
  return object_type && PyModule_AddFunctions(module, functions) == 0;
}
