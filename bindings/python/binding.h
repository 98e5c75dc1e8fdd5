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
  PyObject *inner;      /* {class: {name of a field: class}}; what is absent is asked of `nested` */
  PyObject *nested;     /* (class, name of a field, whether it is a list's item) → class */
  PyObject *missing;    /* (object, name) → attribute that neither data nor class has */
  PyObject *options;    /* the names of a StripeObject's options: api_key and its like */
  PyObject *set_option; /* (object, name, value) */
  PyObject *page;       /* the class of v2's pages */
  PyObject *unset;
  PyObject *json_scalar; /* (value that JSON lacks) → what stands for it */
} hooks;

extern hooks py;

enum { SLICE_MS = 100 }; /* of a call's run, between two looks around */

/* ---- module.c ---- */

bool add_binding(PyObject *module);
/* A capsule that frees the handle; NULL: an error is set, and the handle is freed. */
PyObject *to_capsule(void *handle, const char *kind);
void *from_capsule(PyObject *capsule, const char *kind);
/* Adds a type to the module; NULL: an error is set. */
PyTypeObject *add_type(PyObject *module, const char *name, size_t size, unsigned flags, PyType_Slot *slots);
/* A new instance, zero but for its head; NULL: an error is set. And what dealloc ends with. */
void *allocate(PyTypeObject *type);
void release(void *instance);
/* A slot's function: by way of an integer, as C knows no other from a function to void *. */
#define SLOT(id, function)                                                                                             \
  { id, (void *)(uintptr_t)(function) }
/* `module.name`, imported at the first use and kept in `*kept`: a borrowed reference. */
PyObject *imported(PyObject **kept, const char *module, const char *name);
/* Adds a new reference to the list, or loses the list: an error is set then. */
void add_item(PyObject **list, PyObject *item);
/* Lets signals be handled, and exceptions be raised that another thread has set for this one. False: there is one. */
bool look_around(void);
/* Puts a new reference (or NULL) in the place of another one. */
static inline void put(PyObject **place, PyObject *o) {
  PyObject *before = *place;
  *place = o;
  Py_XDECREF(before);
}

/* ---- read.c: Python → value ---- */

typedef struct reading {
  bool json;    /* None is null, a Decimal text; else, in a form or a query, None leaves its parameter out */
  bool as_data; /* a fixture, JSON as well: objects are maps, and a float stays one */
} reading;

/* A tree of the value; NULL: an error is set that names the place in it, from `root` on. */
ps_value *read_value(PyObject *o, const reading *how, const char *root);
/* What an argument, called `root`, stands for; None is NULL. False: an error is set. `*v` is to be freed either way. */
bool read_argument(PyObject *o, const char *root, ps_value **v);
/* The same of a call's params, which are a map; `json`: they are sent as JSON. */
bool read_params(PyObject *o, bool json, ps_value **v);
/* The bytes of a webhook's body; of anything but bytes NULL, which the core has a message for. False: an error is set. */
bool borrow_bytes(PyObject *o, const char **bytes, Py_ssize_t *length);
/* The text of a str, which owns it: an operation's id, or, where `operation` is "", an argument. False: an error is set that
 * names it. */
bool borrow_text(PyObject *o, const char *operation, const char *name, const char **text);

/* ---- reply.c ---- */

typedef struct reply {
  PyObject_HEAD ps_result *result; /* of a call, or NULL */
  ps_value *tree;                  /* of a fixture, or NULL */
  PyObject *origin;                /* who made the call: what its objects' methods use */
  PyObject *params;                /* of a call that can be made again, or NULL */
  int tops;                        /* objects that show the text: without any it goes, while others read the data */
} reply;

extern PyTypeObject *reply_type;
bool add_reply(PyObject *module);
PyObject *new_reply(ps_result *result);
/* Adds (name, value) to the list, as add_item does. */
void add_header(PyObject **pairs, const char *name, const char *value);
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
/* A dict of all fields (borrowed), read from the value if need be. */
PyObject *all_fields(object *self);
PyObject *to_dict(object *self, bool for_json);
/* A field's value as plain data. */
PyObject *to_plain(PyObject *v, bool for_json);

/* ---- make.c: value → Python ---- */

/* How a value is made: as objects, whose class tells where it stands, or plain. */
typedef struct context {
  reply *reply;
  PyObject *parent;     /* the class of the object that it is a field of, or NULL */
  PyObject *name;       /* of that field, or NULL */
  PyObject *kept;       /* a plain map's children that Python may have changed: a dict, or NULL */
  bool item;            /* of a list or a map in that field */
  bool plain, for_json; /* dicts and lists; decimals as strings */
} context;

/* The type of a field, if it says more than the value itself. */
const ps_api_type *field_type(const ps_api_type *type, const char *name, const ps_value *v);
PyObject *make_value(const context *at, const ps_value *v, const ps_api_type *type);
PyObject *make_plain(const ps_value *v, const ps_api_type *type, bool for_json);
PyObject *make_key(const ps_value *v);
PyObject *make_text(const ps_value *v);

/* ---- call.c ---- */

extern PyMethodDef call_functions[];

/* ---- drive.c: what a driver in Python needs of an exchange ---- */

extern PyMethodDef drive_functions[];

/* ---- pager.c ---- */

bool add_pager(PyObject *module);
/* Raises the exception of a result that failed, which stays its owner's. NULL. */
PyObject *raise_result(const ps_result *failed);
/* What fetches for `owner`, whose own it is; None for NULL. It holds the owner. */
PyObject *lend_exchange(ps_exchange *x, PyObject *owner);
/* Around work on what a pager owns, which only one thread may do: false, another one does, and an error is set. Of what has
 * another owner, or none, nothing is held. */
bool hold(PyObject *owner);
void let_go(PyObject *owner);

/* ---- table.c ---- */

extern PyMethodDef table_functions[];

#endif
