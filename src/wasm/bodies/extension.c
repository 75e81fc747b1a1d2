/* An extension that asks CPython for what most extensions do while they are imported:
   one phase, types of both kinds, exceptions, capsules, other modules, and arguments of
   every convention. Headers are written out, as in tests/native/cfast.c. */

typedef long Py_ssize_t;
typedef struct { Py_ssize_t refcnt; void *type; } PyObject;
typedef struct {
    const char *name;
    void *meth;
    int flags;
    const char *doc;
} PyMethodDef;
typedef struct {
    const char *name;
    void *get, *set;
    const char *doc;
    void *closure;
} PyGetSetDef;
typedef struct { int slot; void *value; } Slot;
typedef struct {
    const char *name;
    int size, item_size;
    unsigned flags;
    Slot *slots;
} PyType_Spec;
typedef struct {
    PyObject base;
    PyObject *(*init)(void);
    Py_ssize_t index;
    PyObject *copy;
    const char *name;
    const char *doc;
    Py_ssize_t size;
    PyMethodDef *methods;
    Slot *slots;
    void *traverse, *clear, *free;
} PyModuleDef;

#define NULL ((void *)0)
#define METH_VARARGS 1
#define METH_KEYWORDS 2
#define METH_NOARGS 4
#define METH_O 8
#define METH_FASTCALL 128
#define Py_TPFLAGS_DEFAULT (1 << 18)
#define Py_TPFLAGS_BASETYPE (1 << 10)
#define Py_tp_init 60
#define Py_tp_methods 64
#define Py_tp_repr 66
#define Py_tp_getset 73

extern PyObject *PyExc_ValueError, *PyExc_TypeError, *PyExc_ImportError;
extern PyObject _Py_NoneStruct;
PyObject *PyModule_Create2(PyModuleDef *, int);
int PyModule_AddObjectRef(PyObject *, const char *, PyObject *);
int PyModule_AddObject(PyObject *, const char *, PyObject *);
int PyModule_AddIntConstant(PyObject *, const char *, long);
int PyModule_AddStringConstant(PyObject *, const char *, const char *);
int PyModule_AddType(PyObject *, void *);
PyObject *PyModule_GetDict(PyObject *);
int PyType_Ready(void *);
PyObject *PyType_FromSpec(PyType_Spec *);
PyObject *PyType_FromSpecWithBases(PyType_Spec *, PyObject *);
PyObject *PyType_FromModuleAndSpec(PyObject *, PyType_Spec *, PyObject *);
PyObject *PyType_GenericNew(void *, PyObject *, PyObject *);
PyObject *PyErr_NewException(const char *, PyObject *, PyObject *);
PyObject *PyErr_NewExceptionWithDoc(const char *, const char *, PyObject *, PyObject *);
PyObject *PyErr_Format(PyObject *, const char *, ...);
PyObject *PyErr_Occurred(void);
int PyErr_ExceptionMatches(PyObject *);
void PyErr_Clear(void);
PyObject *PyCapsule_New(void *, const char *, void *);
void *PyCapsule_GetPointer(PyObject *, const char *);
PyObject *PyImport_ImportModule(const char *);
PyObject *PyObject_GetAttrString(PyObject *, const char *);
PyObject *PyObject_GetAttr(PyObject *, PyObject *);
int PyObject_SetAttrString(PyObject *, const char *, PyObject *);
PyObject *PyObject_CallFunction(PyObject *, const char *, ...);
PyObject *PyObject_CallMethod(PyObject *, const char *, const char *, ...);
PyObject *PyObject_CallNoArgs(PyObject *);
PyObject *PyObject_CallObject(PyObject *, PyObject *);
PyObject *PyObject_Str(PyObject *);
PyObject *PyObject_Repr(PyObject *);
int PyObject_IsInstance(PyObject *, PyObject *);
int PyObject_IsTrue(PyObject *);
PyObject *PyUnicode_FromString(const char *);
PyObject *PyUnicode_FromFormat(const char *, ...);
PyObject *PyUnicode_InternFromString(const char *);
PyObject *PyUnicode_DecodeUTF8(const char *, Py_ssize_t, const char *);
const char *PyUnicode_AsUTF8AndSize(PyObject *, Py_ssize_t *);
PyObject *PyBytes_FromStringAndSize(const char *, Py_ssize_t);
PyObject *PyLong_FromLong(long);
PyObject *PyLong_FromSsize_t(Py_ssize_t);
PyObject *PyLong_FromUnsignedLongLong(unsigned long long);
PyObject *PyLong_FromString(const char *, char **, int);
PyObject *PyFloat_FromDouble(double);
PyObject *PyBool_FromLong(long);
PyObject *PyDict_New(void);
int PyDict_SetItemString(PyObject *, const char *, PyObject *);
PyObject *PyDict_GetItemString(PyObject *, const char *);
PyObject *PyDict_GetItemWithError(PyObject *, PyObject *);
int PyDict_Contains(PyObject *, PyObject *);
PyObject *PyList_New(Py_ssize_t);
int PyList_Append(PyObject *, PyObject *);
PyObject *PySet_New(PyObject *);
PyObject *PyFrozenSet_New(PyObject *);
PyObject *PyTuple_Pack(Py_ssize_t, ...);
PyObject *Py_BuildValue(const char *, ...);
PyObject *PyObject_GetIter(PyObject *);
PyObject *PyIter_Next(PyObject *);
int PyArg_ParseTuple(PyObject *, const char *, ...);
int PyArg_ParseTupleAndKeywords(PyObject *, PyObject *, const char *, char **, ...);
void *PyMem_Malloc(unsigned long);
void PyMem_Free(void *);
void Py_IncRef(PyObject *);
void Py_DecRef(PyObject *);
int PyGILState_Ensure(void);
void PyGILState_Release(int);
const char *Py_GetVersion(void);
void *PyEval_SaveThread(void);
void PyEval_RestoreThread(void *);

static PyObject *pair(PyObject *self, PyObject *arguments) {
    const char *text;
    int number = 0;
    if (!PyArg_ParseTuple(arguments, "s|i", &text, &number))
        return NULL;
    return Py_BuildValue("(siN)", text, number, PyFloat_FromDouble(0.5));
}

static PyObject *keywords(PyObject *self, PyObject *arguments, PyObject *names) {
    static char *known[] = {"object", "flag", NULL};
    PyObject *object = NULL;
    int flag = 0;
    if (!PyArg_ParseTupleAndKeywords(arguments, names, "O|p", known, &object, &flag))
        return NULL;
    return PyBool_FromLong(flag && PyObject_IsTrue(object));
}

static PyObject *fast(PyObject *self, PyObject *const *arguments, Py_ssize_t count) {
    if (count != 1)
        return PyErr_Format(PyExc_TypeError, "one argument, not %zd", count);
    return PyObject_Str(arguments[0]);
}

static PyObject *shown(PyObject *self) {
    return PyUnicode_FromFormat("<%s>", "made in C");
}

/* As a method, and as a property: WebAssembly counts arguments where C does not. */
static PyObject *text(PyObject *self, void *unused) { return shown(self); }

static int set_up(PyObject *self, PyObject *arguments, PyObject *names) { return 0; }

static PyMethodDef methods[] = {
    {"pair", pair, METH_VARARGS, "pair(text, number=0)"},
    {"keywords", keywords, METH_VARARGS | METH_KEYWORDS, NULL},
    {"fast", fast, METH_FASTCALL, NULL},
    {NULL, NULL, 0, NULL},
};
static PyMethodDef type_methods[] = {{"text", text, METH_NOARGS, NULL}, {NULL, NULL, 0, NULL}};
static PyGetSetDef properties[] = {
    {"property", text, NULL, "computed", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static Slot heap_slots[] = {
    {Py_tp_init, set_up},
    {Py_tp_methods, type_methods},
    {Py_tp_repr, shown},
    {Py_tp_getset, properties},
    {0, NULL},
};
static PyType_Spec heap = {
    "cmany.Heap", 0, 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE, heap_slots,
};

/* A type object's words: the name, the size, the flags, and what it can do. */
static void *fixed[128] = {
    [0] = (void *)1, [3] = "cmany.Fixed", [4] = (void *)8, [11] = shown,
    [21] = (void *)Py_TPFLAGS_DEFAULT, [29] = type_methods, [31] = properties,
};

static PyModuleDef definition = {
    .base = {1, 0}, .name = "cmany", .doc = "many of them", .size = -1, .methods = methods,
};

static void drop(PyObject *object) {
    if (object)
        Py_DecRef(object);
    else
        PyErr_Clear();
}

static void types(PyObject *module) {
    PyObject *bases = PyTuple_Pack(1, PyExc_ValueError);
    PyObject *error = PyErr_NewException("cmany.Error", bases, NULL);
    PyModule_AddObjectRef(module, "Error", error);
    drop(PyErr_NewExceptionWithDoc("cmany.Other", "doc", error, NULL));
    if (PyType_Ready(fixed) == 0)
        PyModule_AddObjectRef(module, "Fixed", (PyObject *)fixed);
    PyObject *made = PyType_FromSpec(&heap);
    PyModule_AddObjectRef(module, "Heap", made);
    drop(PyType_FromModuleAndSpec(module, &heap, NULL));
    PyObject *derived = PyTuple_Pack(1, made);
    PyObject *type = PyType_FromSpecWithBases(&heap, derived);
    PyModule_AddType(module, type);
    PyObject *instance = PyObject_CallNoArgs(type);
    PyObject_IsInstance(instance, type);
    drop(PyObject_Repr(instance));
    drop(PyObject_GetAttrString(instance, "property"));
    drop(PyObject_CallMethod(instance, "text", NULL));
    drop(instance);
}

static void values(PyObject *module) {
    PyObject *all = PyList_New(0), *names = PyDict_New();
    PyObject *name = PyUnicode_InternFromString("name");
    PyList_Append(all, name);
    PyList_Append(all, PyUnicode_DecodeUTF8("h\xc3\xa9", 3, NULL));
    PyList_Append(all, PyBytes_FromStringAndSize("bytes", 5));
    PyList_Append(all, PyLong_FromUnsignedLongLong(1ull << 40));
    PyList_Append(all, PyLong_FromString("123456789012345678901234567890", NULL, 10));
    PyList_Append(all, PyLong_FromSsize_t(3));
    PyList_Append(all, PySet_New(NULL));
    PyList_Append(all, PyFrozenSet_New(names));
    PyDict_SetItemString(names, "name", name);
    PyDict_GetItemString(names, "name");
    PyDict_GetItemWithError(names, name);
    PyDict_Contains(names, name);
    PyModule_AddObject(module, "names", names);
    PyModule_AddStringConstant(module, "__version__", Py_GetVersion());
    PyModule_AddIntConstant(module, "LIMIT", 99);
    PyObject *capsule = PyCapsule_New(&definition, "cmany._C_API", NULL);
    PyCapsule_GetPointer(capsule, "cmany._C_API");
    PyModule_AddObjectRef(module, "_C_API", capsule);
    Py_ssize_t length;
    PyUnicode_AsUTF8AndSize(name, &length);
    PyMem_Free(PyMem_Malloc(64));
}

static void others(PyObject *module) {
    PyObject *collections = PyImport_ImportModule("collections");
    PyObject *type = PyObject_GetAttrString(collections, "namedtuple");
    PyObject *made = PyObject_CallFunction(type, "s(ss)", "Pair", "left", "right");
    PyModule_AddObjectRef(module, "Pair", made);
    PyObject *tuple = PyObject_CallFunction(made, "ii", 1, 2);
    PyObject *iterator = PyObject_GetIter(tuple), *item;
    while ((item = PyIter_Next(iterator)))
        Py_DecRef(item);
    PyObject_SetAttrString(module, "pair_of_numbers", tuple);
    PyObject *missing = PyImport_ImportModule("cmany_is_not_there");
    if (!missing && PyErr_Occurred() && PyErr_ExceptionMatches(PyExc_ImportError))
        PyErr_Clear();
    drop(PyObject_GetAttrString(module, "not_there"));
    PyGILState_Release(PyGILState_Ensure());
    PyEval_RestoreThread(PyEval_SaveThread());
}

__attribute__((visibility("default"))) PyObject *PyInit_cmany(void) {
    PyObject *module = PyModule_Create2(&definition, 1013);
    if (!module)
        return NULL;
    types(module);
    values(module);
    others(module);
    return PyErr_Occurred() ? NULL : module;
}
