/* The C half of the Python package, what its files share. SWIG's functions and ours make one module, pinstripe._core.
 *
 *   Python                      C
 *   capsule  ─────────────────▶ ps_client, ps_exchange
 *   Reply    ──owns───────────▶ ps_result, or a tree built from Python values
 *   Object   ──holds its Reply─ ps_value of it: read when asked for, never copied whole
 *
 * Two invariants:
 *   1 A ps_value that an Object points to belongs to the Reply that the Object holds.
 *   2 What was read once and can be changed (an Object, a list, a dict) is kept in the Object's `fields`, so that it is the
 *     same when it is asked for again; after the first change `fields` has everything, and the value only what was sent.
 *
 * Written to Python's limited API (3.10). The module lives in the main interpreter alone. */
#ifndef PS_PYTHON_BINDING_H
#define PS_PYTHON_BINDING_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdbool.h>

#include "plain.h"

/* What Python's side lends: pinstripe/_object.py sets them, once. */
typedef struct hooks {
  PyObject *base;       /* the class of objects that the table does not know */
  PyObject *classes;    /* {"charge": class}; what is absent is asked of `resolve` */
  PyObject *resolve;    /* (name of an object, its type or None) → class */
  PyObject *inner;      /* {(class, name of a field): class}; what is absent is asked of `nested` */
  PyObject *nested;     /* (class, name of a field, whether it is a list's item) → class */
  PyObject *missing;    /* (object, name) → attribute that neither data nor class has */
  PyObject *set_option; /* (object, name, value): api_key and its like */
  PyObject *page;       /* the class of v2's pages */
  PyObject *unset;
} hooks;

extern hooks py;

/* ---- module.c ---- */

bool add_binding(PyObject *module);
PyObject *to_capsule(void *handle, const char *kind);
void *from_capsule(PyObject *capsule, const char *kind);
/* Adds a type made from `spec` to the module; NULL: an error is set. */
PyTypeObject *add_type(PyObject *module, PyType_Spec *spec, const char *name);
/* A new instance, zero but for its head; NULL: an error is set. And what dealloc ends with. */
void *allocate(PyTypeObject *type);
void release(void *instance);
/* A slot's function: by way of an integer, as C knows no other from a function to void *. */
#define SLOT(id, function)                                                                                             \
  { id, (void *)(uintptr_t)(function) }
/* A new reference to `module.name`, imported at the first use and kept in `*kept`. */
PyObject *imported(PyObject **kept, const char *module, const char *name);
/* Puts a new reference (or NULL) in the place of another one. */
static inline void put(PyObject **place, PyObject *o) {
  PyObject *before = *place;
  *place = o;
  Py_XDECREF(before);
}

/* ---- read.c: Python → value ---- */

typedef struct reading {
  bool keeps_null; /* v2's JSON: None is null; else it leaves its parameter out */
  bool as_data; /* a fixture: None is null, objects are maps */
} reading;

/* A tree of the value; NULL: an error is set that names the place in it, from `root` on. */
ps_value *read_value(PyObject *o, const reading *how, const char *root);
/* A call's params, to be freed: a map, or NULL for None. False: an error is set. */
bool read_params(PyObject *o, bool json, ps_value **v);
/* What an argument, called `root`, stands for: `*made`, to be freed, or what a capsule holds; None is NULL. False: an error is set. */
bool borrow_value(PyObject *o, const char *root, const ps_value **v, ps_value **made);

bool borrow_bytes(PyObject *o, const char **bytes, Py_ssize_t *length);

/* ---- reply.c ---- */

typedef struct reply {
  PyObject_HEAD ps_result *result; /* of a call, or NULL */
  ps_value *tree;                  /* of a fixture, or NULL */
  PyObject *origin;                /* who made the call: what its objects' methods use */
  PyObject *params;                /* of a list's call */
  int tops;                        /* objects that show the text: without any it goes, while others read the data */
} reply;

extern PyTypeObject *reply_type;
bool add_reply(PyObject *module);
PyObject *new_reply(ps_result *result);
const ps_value *reply_data(const reply *r);
/* Its data as Python sees it, of `class` if that is not NULL. */
PyObject *reply_read(reply *r, PyObject *class);

/* ---- object.c ---- */

typedef struct object {
  PyObject_HEAD reply *reply;
  const ps_value *value;   /* a map, or NULL */
  const ps_api_type *type; /* or NULL: unknown */
  PyObject *fields;        /* dict: what was read and can be changed; if `whole`, everything */
  PyObject *changed;       /* set of names, or NULL */
  PyObject *origin;        /* in place of the reply's, or NULL */
  PyObject *weakrefs;
  bool whole, top;
} object;

extern PyTypeObject *object_type;
bool add_object(PyObject *module);
PyObject *new_object(PyObject *class, reply *r, const ps_value *v, const ps_api_type *type);
/* core.build(class or None, data, origin) → an object of a fixture's data */
PyObject *core_build(PyObject *self, PyObject *args);
/* core.adopt(object, other): the object takes over what the other one is. */
PyObject *core_adopt(PyObject *self, PyObject *args);
/* core.state(object, name) → what the object keeps for itself; core.set_origin(object, origin) */
PyObject *core_state(PyObject *self, PyObject *args);
PyObject *core_set_origin(PyObject *self, PyObject *args);
/* A dict of all fields (borrowed), read from the value if need be. */
PyObject *all_fields(object *self);
PyObject *to_dict(object *self, bool for_json);

/* ---- make.c: value → Python ---- */

/* Where a value stands, for its class: the object that it is a field of, and the field's name. */
typedef struct context {
  reply *reply;
  PyObject *parent; /* class, or NULL */
  const char *name; /* or NULL */
  bool item;
} context;

/* The type of a field, if it says more than the value itself. */
const ps_api_type *field_type(const ps_api_type *type, const char *name, const ps_value *v);
PyObject *make_value(const context *at, const ps_value *v, const ps_api_type *type);
/* The same as plain dicts and lists. `for_json`: decimals stay strings. */
PyObject *make_plain(const ps_value *v, const ps_api_type *type, bool for_json);
PyObject *make_key(const ps_value *v);
PyObject *make_text(const ps_value *v);

/* ---- call.c ---- */

extern PyMethodDef call_functions[];

/* ---- drive.c: what a driver in Python needs of an exchange ---- */

PyObject *core_request_of(PyObject *self, PyObject *args);
PyObject *core_read_body(PyObject *self, PyObject *args);
PyObject *core_answer(PyObject *self, PyObject *args);
PyObject *core_fail(PyObject *self, PyObject *args);
PyObject *core_event(PyObject *self, PyObject *args);

/* ---- pager.c ---- */

bool add_pager(PyObject *module);
/* Raises the exception of a result that failed, which stays its owner's. NULL. */
PyObject *raise_result(const ps_result *failed);
/* What fetches for `owner`, whose own it is; None for NULL. It holds the owner. */
PyObject *lend_exchange(ps_exchange *x, PyObject *owner);

/* ---- table.c ---- */

extern PyMethodDef table_functions[];

#endif
