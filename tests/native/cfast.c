/* An extension module in C, with what it needs of Python.h written out: the
   headers of the machine that runs the tests are not those of wasm32-wasi. */

typedef long Py_ssize_t;
typedef struct { Py_ssize_t refcnt; void *type; } PyObject;
typedef struct {
    const char *name;
    PyObject *(*meth)(PyObject *, PyObject *);
    int flags;
    const char *doc;
} PyMethodDef;
typedef struct { int slot; void *value; } PyModuleDef_Slot;
typedef struct {
    PyObject base;
    PyObject *(*init)(void);
    Py_ssize_t index;
    PyObject *copy;
    const char *name;
    const char *doc;
    Py_ssize_t size;
    PyMethodDef *methods;
    PyModuleDef_Slot *slots;
    void *traverse, *clear, *free;
} PyModuleDef;

#define METH_O 8
#define METH_NOARGS 4
#define Py_mod_exec 2

PyObject *PyModuleDef_Init(PyModuleDef *);
int PyModule_AddIntConstant(PyObject *, const char *, long);
PyObject *PyLong_FromLong(long);
long PyLong_AsLong(PyObject *);
PyObject *PyErr_Occurred(void);
void PyErr_SetString(PyObject *, const char *);
extern PyObject *PyExc_ValueError;
unsigned long strlen(const char *);

/* In data that has to be relocated. */
static const char *const words[] = {"one", "three", "eleven"};
static long calls;

static PyObject *square(PyObject *module, PyObject *argument) {
    long value = PyLong_AsLong(argument);
    if (value == -1 && PyErr_Occurred())
        return 0;
    if (value < 0) {
        PyErr_SetString(PyExc_ValueError, "negative");
        return 0;
    }
    calls++;
    return PyLong_FromLong(value * value);
}

static PyObject *letters(PyObject *module, PyObject *unused) {
    long sum = 0;
    for (int i = 0; i < 3; i++)
        sum += strlen(words[i]);
    return PyLong_FromLong(sum);
}

static PyObject *count(PyObject *module, PyObject *unused) {
    return PyLong_FromLong(calls);
}

static PyMethodDef methods[] = {
    {"square", square, METH_O, 0},
    {"letters", letters, METH_NOARGS, 0},
    {"count", count, METH_NOARGS, 0},
    {0, 0, 0, 0},
};

static int execute(PyObject *module) {
    return PyModule_AddIntConstant(module, "LIMIT", 99);
}

static PyModuleDef_Slot slots[] = {{Py_mod_exec, (void *)execute}, {0, 0}};

static PyModuleDef definition = {
    .base = {1, 0}, .name = "cfast", .methods = methods, .slots = slots,
};

__attribute__((visibility("default"))) PyObject *PyInit_cfast(void) {
    return PyModuleDef_Init(&definition);
}
