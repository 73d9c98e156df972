/* A collector in C, written from docs/protocol.md and nothing else of zdqn.
 *
 * It simulates CartPole, acts by the learner's weights with epsilon, and sends one-step transitions:
 *
 *     cc -std=c11 -O2 -Wall -Wextra -o collector collector.c -lzmq -lm
 *     ./collector tcp://127.0.0.1:5558
 *
 * beside `zdqn memory FILE` and `zdqn learner FILE --memory tcp://127.0.0.1:5556`, where FILE has
 * `environment.id = "CartPole-v1"` and `algorithm.n_step = 1`. A second address is that of the
 * memory, if it is another than the learner says. Keys (section 9) are left out.
 *
 * Integers of prefix and arrays are written as they lie in memory: little-endian machines only.
 */
#define _POSIX_C_SOURCE 200809L
#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <zmq.h>

enum { VERSION = 4, SHAPE = 4, ACTIONS = 2, MOST_STEPS = 500, MOST_WIDTH = 4096, MOST_LAYERS = 32 };
enum {
    HELLO = 1,
    WELCOME = 2,
    ERROR = 3,
    PING = 4,
    PONG = 5,
    GOODBYE = 6,
    BLOCK = 16,
    ARRIVALS_REQUEST = 22,
    ARRIVALS = 23,
    WEIGHTS_REQUEST = 32,
    WEIGHTS = 33
};

static void fail(const char *text, ...) {
    va_list rest;
    va_start(rest, text);
    vfprintf(stderr, text, rest);
    va_end(rest);
    fputc('\n', stderr);
    exit(1);
}

static double now_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + 1e-9 * t.tv_nsec;
}

/* In [0, 1). */
static double uniform(void) { return rand() / (RAND_MAX + 1.0); }

/* --- writing: section 2 ------------------------------------------------------------------------- */

typedef struct {
    uint8_t *bytes;
    size_t size, room;
} Buffer;

static void put(Buffer *to, const void *bytes, size_t size) {
    if (to->size + size > to->room) {
        to->room = 2 * (to->size + size);
        to->bytes = realloc(to->bytes, to->room);
        if (to->bytes == NULL) fail("no memory");
    }
    memcpy(to->bytes + to->size, bytes, size);
    to->size += size;
}

static void put_big(Buffer *to, uint8_t head, uint64_t value, int size) {
    uint8_t bytes[9] = {head};
    for (int i = 0; i < size; i++) bytes[size - i] = (uint8_t)(value >> (8 * i));
    put(to, bytes, size + 1);
}

/* Any of msgpack's forms will do, so that one of each type is enough. */
static void put_int(Buffer *to, int64_t value) { put_big(to, 0xd3, (uint64_t)value, 8); }
static void put_map(Buffer *to, int fields) { put_big(to, 0xde, fields, 2); }
static void put_list(Buffer *to, int items) { put_big(to, 0xdc, items, 2); }

static void put_text(Buffer *to, const char *text) {
    put_big(to, 0xd9, strlen(text), 1);
    put(to, text, strlen(text));
}

static void put_float(Buffer *to, double value) {
    uint64_t bits;
    memcpy(&bits, &value, 8);
    put_big(to, 0xcb, bits, 8);
}

static void field_int(Buffer *to, const char *name, int64_t value) {
    put_text(to, name);
    put_int(to, value);
}
static void field_text(Buffer *to, const char *name, const char *value) {
    put_text(to, name);
    put_text(to, value);
}

static void begin(Buffer *to, uint8_t kind, int fields) {
    uint8_t prefix[16] = {'Z', 'D', 'Q', 'N', VERSION, 0, kind};
    to->size = 0;
    put(to, prefix, sizeof prefix);
    put_map(to, fields);
}

static void end_header(Buffer *to) {
    uint32_t length = (uint32_t)(to->size - 16);
    memcpy(to->bytes + 8, &length, 4);
}

static void put_array(Buffer *to, const void *bytes, size_t size) {
    static const uint8_t zeros[64];
    put(to, zeros, (64 - to->size % 64) % 64);
    put(to, bytes, size);
}

/* --- reading ------------------------------------------------------------------------------------ */

typedef struct {
    const uint8_t *at, *end;
} Cursor;

static uint64_t take(Cursor *c, int size) {
    uint64_t value = 0;
    if (c->end - c->at < size) fail("a message is cut off");
    while (size-- > 0) value = value << 8 | *c->at++;
    return value;
}

/* Gives the type of the next value ('n'il, 'b'ool, 'i'nt, 'f'loat, 's'tring, 'l'ist, 'm'ap), and the
 * number, or how long it is; what a string, list or map holds comes next. */
static char next(Cursor *c, int64_t *number, double *real) {
    uint8_t head = (uint8_t)take(c, 1);
    *number = 0;
    *real = 0;
    if (head < 0x80 || head >= 0xe0) {
        *number = (int8_t)head;
        *real = (double)*number;
        return 'i';
    }
    if (head < 0x90) {
        *number = head & 15;
        return 'm';
    }
    if (head < 0xa0) {
        *number = head & 15;
        return 'l';
    }
    if (head < 0xc0) {
        *number = head & 31;
        return 's';
    }
    if (head == 0xc0) return 'n';
    if (head == 0xc2 || head == 0xc3) {
        *number = head == 0xc3;
        return 'b';
    }
    if (head == 0xca) {
        uint32_t bits = (uint32_t)take(c, 4);
        float value;
        memcpy(&value, &bits, 4);
        *real = value;
        return 'f';
    }
    if (head == 0xcb) {
        uint64_t bits = take(c, 8);
        memcpy(real, &bits, 8);
        return 'f';
    }
    if (head >= 0xcc && head <= 0xcf) {
        *number = (int64_t)take(c, 1 << (head - 0xcc));
        *real = (double)*number;
        return 'i';
    }
    if (head >= 0xd0 && head <= 0xd3) {
        int size = 1 << (head - 0xd0);
        *number = (int64_t)(take(c, size) << (64 - 8 * size)) >> (64 - 8 * size);
        *real = (double)*number;
        return 'i';
    }
    if (head >= 0xd9 && head <= 0xdb) {
        *number = (int64_t)take(c, 1 << (head - 0xd9));
        return 's';
    }
    if (head == 0xdc || head == 0xdd) {
        *number = (int64_t)take(c, head == 0xdc ? 2 : 4);
        return 'l';
    }
    if (head == 0xde || head == 0xdf) {
        *number = (int64_t)take(c, head == 0xde ? 2 : 4);
        return 'm';
    }
    fail("msgpack of a kind that the protocol does not use: %02x", head);
    return 0;
}

static void skip(Cursor *c) {
    int64_t number;
    double real;
    char type = next(c, &number, &real);
    if (type == 's') {
        if (number > c->end - c->at) fail("a message is cut off");
        c->at += number;
    }
    if (type == 'l')
        while (number-- > 0) skip(c);
    if (type == 'm')
        while (number-- > 0) {
            skip(c);
            skip(c);
        }
}

/* Finds a field of a map; `c` stays where it is. Fields that nobody asks for are passed over. */
static bool find(Cursor c, const char *name, Cursor *value) {
    int64_t fields, length;
    double real;
    if (next(&c, &fields, &real) != 'm') return false;
    while (fields-- > 0) {
        if (next(&c, &length, &real) != 's' || length > c.end - c.at) fail("a field without a name");
        bool same = (size_t)length == strlen(name) && memcmp(c.at, name, (size_t)length) == 0;
        c.at += length;
        if (same) {
            *value = c;
            return true;
        }
        skip(&c);
    }
    return false;
}

static double get(Cursor map, const char *name, double otherwise) {
    Cursor value;
    int64_t number;
    double real;
    if (!find(map, name, &value)) return otherwise;
    char type = next(&value, &number, &real);
    return type == 'f' || type == 'i' ? real : type == 'b' ? (double)number : otherwise;
}

static void get_text(Cursor map, const char *name, char *text, size_t room) {
    Cursor value;
    int64_t length = 0;
    double real;
    if (find(map, name, &value) && next(&value, &length, &real) == 's' && length <= value.end - value.at) {
        if ((size_t)length >= room) length = (int64_t)room - 1;
        memcpy(text, value.at, (size_t)length);
    } else
        length = 0;
    text[length] = 0;
}

static Cursor inside(Cursor map, const char *name) {
    Cursor value;
    if (!find(map, name, &value)) fail("an answer has no field %s", name);
    return value;
}

typedef struct {
    zmq_msg_t frame;
    int kind;
    Cursor header;
    size_t payload;
} Message;

static void read_message(Message *m) {
    const uint8_t *bytes = zmq_msg_data(&m->frame);
    size_t size = zmq_msg_size(&m->frame);
    uint32_t length;
    if (size < 16 || memcmp(bytes, "ZDQN", 4) != 0) fail("what answers is no zdqn");
    if ((bytes[4] | bytes[5] << 8) != VERSION)
        fail("the other side speaks version %d", bytes[4] | bytes[5] << 8);
    memcpy(&length, bytes + 8, 4);
    if (length > size - 16 || bytes[7] & 15) fail("a message that cannot be read");
    m->kind = bytes[6];
    m->header = (Cursor){bytes + 16, bytes + 16 + length};
    m->payload = 16 + length;
}

/* --- asking: sections 1 and 4 ------------------------------------------------------------------- */

static void *context;

static void set(void *socket, int option, int value) {
    if (zmq_setsockopt(socket, option, &value, sizeof value) != 0) fail("zmq: %s", zmq_strerror(errno));
}

static void *dial(int type, const char *address) {
    void *socket = zmq_socket(context, type);
    set(socket, ZMQ_LINGER, 0);
    if (type == ZMQ_REQ) {
        set(socket, ZMQ_REQ_RELAXED, 1); /* ask again where an answer was lost */
        set(socket, ZMQ_REQ_CORRELATE, 1);
        set(socket, ZMQ_RCVTIMEO, 1000);
        set(socket, ZMQ_SNDTIMEO, 1000);
    }
    if (type == ZMQ_SUB) {
        set(socket, ZMQ_CONFLATE, 1);
        zmq_setsockopt(socket, ZMQ_SUBSCRIBE, "", 0);
    }
    if (zmq_connect(socket, address) != 0) fail("%s: %s", address, zmq_strerror(errno));
    return socket;
}

/* Asks once; false if no answer came in a second, or the answer is that it must be asked again. */
static bool ask(void *socket, Buffer *question, Message *answer, bool *stopping) {
    char code[64], text[512];
    zmq_msg_init(&answer->frame);
    if (zmq_send(socket, question->bytes, question->size, 0) < 0) return false;
    if (zmq_msg_recv(&answer->frame, socket, 0) < 0) return false;
    read_message(answer);
    if (answer->kind != ERROR) return true;
    get_text(answer->header, "code", code, sizeof code);
    get_text(answer->header, "message", text, sizeof text);
    if (strcmp(code, "stopping") == 0)
        *stopping = true;
    else if (strcmp(code, "not_serving") != 0 && strcmp(code, "unknown_session") != 0)
        fail("refused (%s): %s", code, text);
    struct timespec moment = {0, 100000000};
    nanosleep(&moment, NULL);
    return false;
}

/* Puts the host that was dialled in the place of that of an address which was told. */
static void reach(char *told, const char *dialled, size_t room) {
    const char *port = strrchr(told, ':'), *end = strrchr(dialled, ':');
    char address[512];
    if (strncmp(told, "tcp://", 6) != 0 || strncmp(dialled, "tcp://", 6) != 0) return;
    snprintf(address, sizeof address, "%.*s%s", (int)(end - dialled), dialled, port);
    snprintf(told, room, "%s", address);
}

static bool is_loopback(const char *address) {
    return strncmp(address, "tcp://127.", 10) == 0 || strncmp(address, "tcp://localhost", 15) == 0 ||
           strncmp(address, "tcp://[::1]", 11) == 0;
}

/* --- the digest: section 3 ---------------------------------------------------------------------- */

static uint32_t turn(uint32_t x, int by) { return x >> by | x << (32 - by); }

static uint64_t sha256_begin(const char *text) { /* the first 8 bytes of SHA-256, little-endian */
    uint32_t k[64], h[8];
    uint8_t block[512] = {0}, first[8];
    size_t length = strlen(text), blocks = (length + 8) / 64 + 1;
    for (int i = 0, p = 2; i < 64; p++) { /* the fractions of roots of the first primes */
        bool prime = true;
        for (int d = 2; d * d <= p; d++) prime = prime && p % d != 0;
        if (!prime) continue;
        long double third = cbrtl((long double)p), second = sqrtl((long double)p);
        k[i] = (uint32_t)((third - floorl(third)) * 4294967296.0L);
        if (i < 8) h[i] = (uint32_t)((second - floorl(second)) * 4294967296.0L);
        i++;
    }
    if (length > 400) fail("a text too long to hash");
    memcpy(block, text, length);
    block[length] = 0x80;
    for (int i = 0; i < 8; i++) block[64 * blocks - 1 - i] = (uint8_t)((uint64_t)(8 * length) >> (8 * i));
    for (size_t b = 0; b < blocks; b++) {
        uint32_t w[64], v[8];
        for (int i = 0; i < 16; i++) {
            const uint8_t *at = block + 64 * b + 4 * i;
            w[i] = (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
        }
        for (int i = 16; i < 64; i++)
            w[i] = w[i - 16] + (turn(w[i - 15], 7) ^ turn(w[i - 15], 18) ^ w[i - 15] >> 3) + w[i - 7] +
                   (turn(w[i - 2], 17) ^ turn(w[i - 2], 19) ^ w[i - 2] >> 10);
        memcpy(v, h, sizeof v);
        for (int i = 0; i < 64; i++) {
            uint32_t one = v[7] + (turn(v[4], 6) ^ turn(v[4], 11) ^ turn(v[4], 25)) +
                           ((v[4] & v[5]) ^ (~v[4] & v[6])) + k[i] + w[i];
            uint32_t two = (turn(v[0], 2) ^ turn(v[0], 13) ^ turn(v[0], 22)) +
                           ((v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]));
            memmove(v + 1, v, 7 * sizeof *v);
            v[4] += one;
            v[0] = one + two;
        }
        for (int i = 0; i < 8; i++) h[i] += v[i];
    }
    for (int i = 0; i < 8; i++) first[i] = (uint8_t)(h[i / 4] >> (24 - 8 * (i % 4)));
    uint64_t number;
    memcpy(&number, first, 8);
    return number;
}

/* --- the network: section 10 -------------------------------------------------------------------- */

typedef struct {
    char op[16], activation[16];
    const float *weight, *bias, *value_weight, *value_bias;
    int inputs, outputs;
} Layer;
typedef struct {
    Message from;
    Layer layers[MOST_LAYERS];
    int count;
    int64_t version;
} Network;

/* Finds a float32 tensor of WEIGHTS by its name. */
static const float *tensor(
    Message *m, const char *name, const char *part, int64_t *rows, int64_t *columns) {
    char wanted[160];
    int64_t tensors, three, length, axes, axis;
    double real;
    Cursor c = inside(m->header, "tensors");
    size_t offset = m->payload;
    snprintf(wanted, sizeof wanted, "%s.%s", name, part);
    if (next(&c, &tensors, &real) != 'l') fail("WEIGHTS without tensors");
    while (tensors-- > 0) {
        size_t elements = 1;
        *rows = *columns = 1;
        if (next(&c, &three, &real) != 'l' || three < 3 || next(&c, &length, &real) != 's')
            fail("a tensor without a name");
        bool same = (size_t)length == strlen(wanted) && memcmp(c.at, wanted, (size_t)length) == 0;
        c.at += length;
        if (next(&c, &length, &real) != 's' || length != 7 || memcmp(c.at, "float32", 7) != 0)
            fail("weights that are not float32");
        c.at += length;
        if (next(&c, &axes, &real) != 'l') fail("a tensor without a shape");
        for (int64_t i = 0; i < axes; i++) {
            next(&c, &axis, &real);
            elements *= (size_t)axis;
            if (i == 0)
                *rows = axis;
            else
                *columns *= axis;
        }
        for (int64_t i = 3; i < three; i++) skip(&c);
        if (elements > 0) offset = (offset + 63) / 64 * 64;
        if (offset + 4 * elements > zmq_msg_size(&m->frame)) fail("WEIGHTS are cut off");
        if (same) return (const float *)((const uint8_t *)zmq_msg_data(&m->frame) + offset);
        offset += 4 * elements;
    }
    fail("no tensor %s", wanted);
    return NULL;
}

static void read_linear(Message *m, Layer *layer, const char *name, int inputs) {
    int64_t rows, columns;
    layer->weight = tensor(m, name, "weight", &rows, &columns);
    if (columns != inputs || rows > MOST_WIDTH) fail("%s does not fit", name);
    layer->inputs = inputs;
    layer->outputs = (int)rows;
    layer->bias = tensor(m, name, "bias", &rows, &columns);
    if (rows != layer->outputs) fail("the bias of %s does not fit", name);
}

/* Takes over weights that are newer; what cannot be evaluated is refused aloud. */
static bool take_weights(Network *to, Message *m, const char *run_id) {
    char run[300], name[128], head[160];
    int64_t layers, rows, columns;
    double real;
    int width = SHAPE;
    int64_t version = (int64_t)get(m->header, "weight_version", -1);
    get_text(m->header, "run_id", run, sizeof run);
    if (strcmp(run, run_id) != 0 || version <= to->version) return false;
    Cursor c = inside(m->header, "network");
    if (next(&c, &layers, &real) != 'l' || layers < 1 || layers > MOST_LAYERS)
        fail("a network that is not described");
    for (int i = 0; i < layers; i++) {
        Layer *layer = &to->layers[i];
        memset(layer, 0, sizeof *layer);
        get_text(c, "op", layer->op, sizeof layer->op);
        get_text(c, "name", name, sizeof name);
        get_text(c, "activation", layer->activation, sizeof layer->activation);
        skip(&c);
        if (strcmp(layer->op, "linear") == 0)
            read_linear(m, layer, name, width);
        else if (strcmp(layer->op, "dueling") == 0) {
            snprintf(head, sizeof head, "%s.advantage", name);
            read_linear(m, layer, head, width);
            snprintf(head, sizeof head, "%s.value", name);
            layer->value_weight = tensor(m, head, "weight", &rows, &columns);
            if (rows != 1 || columns != width) fail("%s does not fit", head);
            layer->value_bias = tensor(m, head, "bias", &rows, &columns);
        } else if (strcmp(layer->op, "flatten") != 0)
            fail("this collector does not know the layer \"%s\"", layer->op);
        else
            layer->inputs = layer->outputs = width;
        if (layer->activation[0] && strcmp(layer->activation, "relu") != 0 &&
            strcmp(layer->activation, "tanh") != 0)
            fail("this collector does not know the activation \"%s\"", layer->activation);
        width = layer->outputs;
    }
    if (width != ACTIONS) fail("a network with %d actions", width);
    if (to->version >= 0) zmq_msg_close(&to->from.frame);
    to->from = *m; /* the tensors lie in the message, which is kept */
    to->count = (int)layers;
    to->version = version;
    return true;
}

static float dot(const float *weight, const float *x, int count, float sum) {
    for (int i = 0; i < count; i++) sum += weight[i] * x[i];
    return sum;
}

static void q_values(const Network *network, const float *observation, float *q) {
    static float one[MOST_WIDTH], two[MOST_WIDTH];
    float *x = one, *y = two;
    memcpy(x, observation, SHAPE * sizeof *x);
    for (int l = 0; l < network->count; l++) {
        const Layer *layer = &network->layers[l];
        if (layer->weight == NULL) continue;
        float mean = 0;
        for (int o = 0; o < layer->outputs; o++) {
            y[o] = dot(layer->weight + (size_t)o * layer->inputs, x, layer->inputs, layer->bias[o]);
            mean += y[o] / layer->outputs;
        }
        if (layer->value_weight != NULL) {
            float value = dot(layer->value_weight, x, layer->inputs, layer->value_bias[0]);
            for (int o = 0; o < layer->outputs; o++) y[o] += value - mean;
        }
        for (int o = 0; o < layer->outputs; o++) {
            if (strcmp(layer->activation, "relu") == 0 && y[o] < 0) y[o] = 0;
            if (strcmp(layer->activation, "tanh") == 0) y[o] = tanhf(y[o]);
        }
        float *other = x;
        x = y;
        y = other;
    }
    memcpy(q, x, ACTIONS * sizeof *q);
}

/* --- CartPole-v1 -------------------------------------------------------------------------------- */

typedef struct {
    double state[SHAPE];
    int steps;
} CartPole; /* x, its speed, angle, its speed */

static void reset(CartPole *pole) {
    for (int i = 0; i < SHAPE; i++) pole->state[i] = 0.1 * uniform() - 0.05;
    pole->steps = 0;
}

/* Gives whether the pole has fallen. */
static bool step(CartPole *pole, int action) {
    double *s = pole->state, force = action == 1 ? 10.0 : -10.0;
    double cosine = cos(s[2]), sine = sin(s[2]);
    double push = (force + 0.05 * s[3] * s[3] * sine) / 1.1;
    double turning = (9.8 * sine - cosine * push) / (0.5 * (4.0 / 3.0 - 0.1 * cosine * cosine / 1.1));
    double moving = push - 0.05 * turning * cosine / 1.1;
    s[0] += 0.02 * s[1];
    s[1] += 0.02 * moving;
    s[2] += 0.02 * s[3];
    s[3] += 0.02 * turning;
    pole->steps++;
    return fabs(s[0]) > 2.4 || fabs(s[2]) > 12 * 2 * acos(-1.0) / 360;
}

/* --- a block: sections 3 and 5 ------------------------------------------------------------------ */

#pragma pack(push, 1)
typedef struct {
    int64_t weight_version;
    int32_t observation, next_observation, action;
    float reward, discount, priority;
} Record;
#pragma pack(pop)

typedef struct {
    float (*frames)[SHAPE];
    Record *records;
    int frames_count, count, most;
    double since_s;
} Block;

static int add_frame(Block *block, const CartPole *pole) {
    for (int i = 0; i < SHAPE; i++) block->frames[block->frames_count][i] = (float)pole->state[i];
    return block->frames_count++;
}

static void begin_block(Block *block, const CartPole *pole) {
    block->frames_count = block->count = 0;
    block->since_s = now_s();
    add_frame(block, pole); /* sent again: the last one of the block before */
}

/* --- the run ------------------------------------------------------------------------------------ */

typedef struct {
    char address[512], data[512];
    void *requests;
    double pinged_s, answered_s;
} Server;

typedef struct {
    int64_t session, steps, episodes, blocks, stored, refused;
    int collectors, index, in_vain;
    int64_t steps_of_all;
    double epsilon;
    char run_id[300];
    bool stopping;
} Run;

static Buffer question;

static void say_hello(Server *server, const char *to, Run *run, Message *welcome) {
    begin(&question, HELLO, 6);
    field_text(&question, "role", "collector");
    field_text(&question, "name", "collector-in-c");
    field_int(&question, "session", run->session);
    field_text(&question, "run_id", run->run_id);
    field_text(&question, "to", to);
    put_text(&question, "spec");
    put_map(&question, 4);
    put_text(&question, "observation_shape");
    put_list(&question, 1);
    put_int(&question, SHAPE);
    field_text(&question, "observation_dtype", "float32");
    field_int(&question, "num_actions", ACTIONS);
    field_int(&question, "frame_stack", 1);
    end_header(&question);
    while (!ask(server->requests, &question, welcome, &run->stopping)) {
        if (run->stopping) exit(0);
        fprintf(stderr, "waiting for the %s at %s\n", to, server->address);
    }
    if (welcome->kind != WELCOME) fail("no welcome from the %s", to);
    get_text(welcome->header, "data_endpoint", server->data, sizeof server->data);
    reach(server->data, server->address, sizeof server->data);
    server->answered_s = now_s();
}

static void write_statistics(uint8_t kind, const Run *run) {
    begin(&question, kind, 2);
    field_int(&question, "session", run->session);
    put_text(&question, "statistics");
    put_map(&question, 4);
    field_int(&question, "environment_steps", run->steps);
    field_int(&question, "episodes", run->episodes);
    field_int(&question, "blocks_sent", run->blocks);
    put_text(&question, "epsilon");
    put_float(&question, run->epsilon);
    end_header(&question);
}

static void ping(Server *server, const char *to, Run *run, double period_s) {
    Message pong, welcome;
    Cursor delivery;
    char reason[300];
    if (run->stopping || now_s() - server->pinged_s < period_s) return;
    server->pinged_s = now_s();
    write_statistics(PING, run);
    if (!ask(server->requests, &question, &pong, &run->stopping)) {
        zmq_msg_close(&pong.frame);
        if (now_s() - server->answered_s > 60) fail("the %s has not answered for a minute", to);
        return;
    }
    server->answered_s = now_s();
    if (get(pong.header, "stopping", 0) != 0)
        run->stopping = true;
    else if (get(pong.header, "known", 1) == 0) {
        say_hello(server, to, run, &welcome);
        zmq_msg_close(&welcome.frame);
    }
    if (strcmp(to, "learner") == 0) {
        run->collectors = (int)get(pong.header, "collectors", 1);
        int64_t all = (int64_t)get(pong.header, "environment_steps", 0);
        if (all > run->steps_of_all) run->steps_of_all = all;
    }
    if (find(pong.header, "delivery", &delivery) && *delivery.at != 0xc0) {
        int64_t stored = (int64_t)get(delivery, "stored", -1),
                refused = (int64_t)get(delivery, "refused", 0);
        get_text(delivery, "reason", reason, sizeof reason);
        if (refused > run->refused)
            fprintf(stderr, "%lld blocks refused: %s\n", (long long)refused, reason);
        run->in_vain = stored > run->stored ? 0 : run->in_vain + (refused > run->refused);
        if (run->in_vain >= 5) fail("the memory takes none of our blocks: %s", reason);
        run->stored = stored;
        run->refused = refused;
    }
    zmq_msg_close(&pong.frame);
}

/* Waits until all but one of the blocks have come: where samples are paced, more would only be old. */
static void wait_for_arrivals(Server *memory, Server *learner, Run *run, double period_s) {
    Message arrivals;
    for (bool come = false; !come && !run->stopping;) {
        ping(memory, "memory", run, period_s);
        ping(learner, "learner", run, period_s);
        begin(&question, ARRIVALS_REQUEST, 3);
        field_int(&question, "session", run->session);
        field_int(&question, "blocks", run->blocks - 1);
        field_int(&question, "wait_ms", 500);
        end_header(&question);
        if (ask(memory->requests, &question, &arrivals, &run->stopping))
            come = get(arrivals.header, "heard", 0) >= (double)(run->blocks - 1);
        zmq_msg_close(&arrivals.frame);
    }
}

static void send_block(
    void *push, Block *block, uint64_t origin, Server *memory, Server *learner, Run *run, double period_s) {
    static Buffer message;
    if (block->records[block->count - 1].next_observation < block->frames_count - 1)
        block->frames_count--; /* the first of an episode that has not begun: nothing refers to it */
    begin(&message, BLOCK, 7);
    field_int(&message, "session", run->session);
    field_int(&message, "sequence", run->blocks);
    field_int(&message, "origin", (int64_t)origin);
    field_int(&message, "frames", block->frames_count);
    field_int(&message, "transitions", block->count);
    field_int(&message, "environment_steps", run->steps);
    field_int(&message, "episodes", run->episodes);
    end_header(&message);
    put_array(&message, block->frames, block->frames_count * sizeof *block->frames);
    put_array(&message, block->records, block->count * sizeof *block->records);
    while (zmq_send(push, message.bytes, message.size, 0) < 0) { /* no room for 100 ms */
        ping(memory, "memory", run, period_s);
        ping(learner, "learner", run, period_s);
        if (run->stopping) return; /* nobody reads any more */
    }
    run->blocks++;
}

int main(int count, char **words) {
    Server learner = {0}, memory = {0};
    Run run = {.stored = -1, .collectors = 1};
    Network network = {.version = -1};
    Message welcome, message;
    uint64_t seed = 0;
    if (count < 2 || count > 3) fail("usage: %s LEARNER [MEMORY]", words[0]);
    FILE *random = fopen("/dev/urandom", "rb");
    if (random == NULL || fread(&seed, sizeof seed, 1, random) != 1) fail("no random numbers");
    fclose(random);
    srand((unsigned)seed);
    run.session = (int64_t)(seed >> 12) + 1; /* 1 to 2^52 */
    context = zmq_ctx_new();

    snprintf(learner.address, sizeof learner.address, "%s", words[1]);
    learner.requests = dial(ZMQ_REQ, learner.address);
    say_hello(&learner, "learner", &run, &welcome);
    get_text(welcome.header, "run_id", run.run_id, sizeof run.run_id);
    get_text(welcome.header, "memory", memory.address, sizeof memory.address);
    if (is_loopback(memory.address)) reach(memory.address, learner.address, sizeof memory.address);
    if (count == 3) snprintf(memory.address, sizeof memory.address, "%s", words[2]);
    run.index = (int)get(welcome.header, "index", 0);
    Cursor settings = inside(welcome.header, "settings"), epsilon = inside(settings, "epsilon");
    char kind[32], environment[256];
    get_text(epsilon, "kind", kind, sizeof kind);
    get_text(settings, "environment", environment, sizeof environment);
    if (strcmp(environment, "CartPole-v1") != 0)
        fail("this run is of %s, and this collector plays CartPole-v1", environment);
    if (get(settings, "n_step", 1) != 1)
        fail("this collector makes returns of one step (algorithm.n_step = 1)");
    double period_s = get(settings, "ping_period_s", 1), discount = get(settings, "discount", 0.99);
    double clip = get(settings, "reward_clip", 0);
    float reward = clip > 0 && clip < 1 ? (float)clip : 1; /* of every step */
    double initial = get(epsilon, "initial", 1), final = get(epsilon, "final", 0.1),
           decay = get(epsilon, "decay_environment_steps", 0);
    double base = get(epsilon, "base", 0.4), exponent = get(epsilon, "exponent", 7),
           planned = get(epsilon, "collectors", 1);

    memory.requests = dial(ZMQ_REQ, memory.address);
    Message at_memory;
    say_hello(&memory, "memory", &run, &at_memory);
    Cursor limits = inside(at_memory.header, "settings");
    bool paced = get(limits, "paced", 0) != 0, priorities = get(limits, "priorities", 0) != 0;
    double age_s = get(limits, "block_age_s", 1);
    Block block = {.most = (int)get(limits, "block_transitions", 32)};
    block.frames = calloc(2 * (size_t)block.most + 1, sizeof *block.frames);
    block.records = calloc((size_t)block.most, sizeof *block.records);
    void *push = zmq_socket(context, ZMQ_PUSH);
    set(push, ZMQ_SNDHWM, (int)get(limits, "high_water_mark", 1));
    set(push, ZMQ_SNDBUF, (int)get(limits, "buffer_bytes", 16384));
    set(push, ZMQ_SNDTIMEO, 100);
    set(push, ZMQ_LINGER, 2000);
    if (zmq_connect(push, memory.data) != 0) fail("%s: %s", memory.data, zmq_strerror(errno));

    char text[400];
    snprintf(text, sizeof text, "(%d,)|float32|%d|1|%s", SHAPE, ACTIONS, run.run_id);
    uint64_t origin = sha256_begin(text) >> 1;

    void *subscriber = dial(ZMQ_SUB, learner.data);
    begin(&question, WEIGHTS_REQUEST, 0);
    end_header(&question);
    while (network.version < 0 && !run.stopping)
        if (ask(learner.requests, &question, &message, &run.stopping) && message.kind == WEIGHTS)
            take_weights(&network, &message, run.run_id);

    CartPole pole;
    int64_t heard = 0, own_then = 0;
    reset(&pole);
    begin_block(&block, &pole);
    printf("collecting as collector %d of run %s\n", run.index, run.run_id);
    fflush(stdout);
    while (!run.stopping) {
        zmq_msg_init(&message.frame);
        if (zmq_msg_recv(&message.frame, subscriber, ZMQ_DONTWAIT) >= 0) {
            read_message(&message);
            int64_t all = (int64_t)get(message.header, "environment_steps", 0);
            if (all > run.steps_of_all) run.steps_of_all = all;
            if (get(message.header, "stopping", 0) != 0) run.stopping = true;
            if (!take_weights(&network, &message, run.run_id)) zmq_msg_close(&message.frame);
        }
        if (run.steps_of_all > heard) {
            heard = run.steps_of_all;
            own_then = run.steps;
        }
        double steps = (double)(heard + (run.steps - own_then) * (run.collectors > 0 ? run.collectors : 1));
        if (strcmp(kind, "ladder") == 0) {
            double actors = fmax(fmax(planned, run.collectors), run.index + 1);
            run.epsilon = pow(base, 1 + exponent * run.index / fmax(actors - 1, 1));
        } else
            run.epsilon = steps >= decay ? final : initial + (final - initial) * steps / decay;

        float q[ACTIONS], after[ACTIONS];
        int here = block.frames_count - 1;
        q_values(&network, block.frames[here], q);
        int action = q[1] > q[0];
        if (uniform() < run.epsilon) action = (int)(uniform() * ACTIONS);
        bool terminated = step(&pole, action), truncated = !terminated && pole.steps >= MOST_STEPS;
        int there = add_frame(&block, &pole);
        Record *record = &block.records[block.count++];
        *record = (Record){network.version, here, there, action, reward, terminated ? 0 : (float)discount, -1};
        if (priorities) {
            q_values(&network, block.frames[there], after);
            record->priority = fabsf(reward + record->discount * fmaxf(after[0], after[1]) - q[action]);
        }
        run.steps++;
        if (terminated || truncated) {
            run.episodes++;
            reset(&pole);
            if (block.count < block.most) add_frame(&block, &pole);
        }
        if (block.count == block.most || now_s() - block.since_s > age_s) {
            send_block(push, &block, origin, &memory, &learner, &run, period_s);
            if (paced) wait_for_arrivals(&memory, &learner, &run, period_s);
            begin_block(&block, &pole);
        }
        ping(&memory, "memory", &run, period_s);
        ping(&learner, "learner", &run, period_s);
    }

    if (run.stopping) set(push, ZMQ_LINGER, 0); /* nobody learns from what is still on its way */
    zmq_close(push);
    Server *servers[] = {&memory, &learner};
    for (int i = 0; i < 2; i++) {
        write_statistics(GOODBYE, &run);
        ask(servers[i]->requests, &question, &message, &run.stopping);
        zmq_msg_close(&message.frame);
        zmq_close(servers[i]->requests);
    }
    zmq_close(subscriber);
    zmq_msg_close(&welcome.frame);
    zmq_msg_close(&at_memory.frame);
    if (network.version >= 0) zmq_msg_close(&network.from.frame);
    zmq_ctx_term(context);
    printf("%lld environment steps, %lld episodes, %lld blocks sent, %lld refused\n", (long long)run.steps,
        (long long)run.episodes, (long long)run.blocks, (long long)run.refused);
    return 0;
}
