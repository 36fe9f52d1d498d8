/* A fuzzer for targets that are written as libFuzzer has them, with what gcc brings: the target is compiled with
 * -fsanitize-coverage=trace-pc, and an input that reaches what none before it reached is kept and mutated further.
 *
 *   TARGET SECONDS SEED CORPUS [FOUND]
 *
 * CORPUS is a folder of inputs, which are run first and mutated then; FOUND is a folder that receives those that
 * reached something new.  The input of a crash is written to crash-input in the working directory. */
#include <dirent.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define INPUT_MOST 8192
#define INPUTS_MOST 16384
#define PLACES 65536

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
void __sanitizer_cov_trace_pc(void);
void __sanitizer_set_death_callback(void (*callback)(void));

struct input {
    size_t size;
    uint8_t *data;
};

static struct input inputs[INPUTS_MOST];
static size_t input_count;
static uint8_t reached[PLACES]; /* at any time */
static bool news;
static struct input current;
static uint64_t state;
static const char *found;

static const char *const words[] = {
    "\r\n", "\n", "\r", " ", ":", "0", "ffffffff", "\t", "\xff", ", ", "-", "=", ";", "W/\"", "\"", "%2f", "?", "http://",
    "HTTP/1.1", "HTTP/1.0", "Host: b\r\n", "Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n", "bytes=",
    "Range: bytes=0-0\r\n", "If-None-Match: *\r\n", "If-Range: ", "Expect: 100-continue\r\n", "Connection: close\r\n",
    "Sun, 06 Nov 1994 08:49:37 GMT", "18446744073709551615", "PROXY ", "TCP4 ", "TCP6 ", "UNKNOWN", "SHFS",
};

#define WORDS (sizeof words / sizeof words[0])

void __sanitizer_cov_trace_pc(void)
{
    const size_t place = ((uintptr_t)__builtin_return_address(0) * 0x9e3779b97f4a7c15ULL) >> 48;

    if (!reached[place]) {
        reached[place] = 1;
        news = true;
    }
}

static uint32_t draw(uint32_t below) /* xorshift64*: a seed repeats a run */
{
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return (uint32_t)((state * 0x2545f4914f6cdd1dULL) >> 33) % below;
}

static void write_input(const char *path)
{
    FILE *file = fopen(path, "wb");

    if (file == NULL || fwrite(current.data, 1, current.size, file) != current.size)
        perror(path);
    if (file != NULL)
        fclose(file);
}

static void on_death(void)
{
    write_input("crash-input");
}

static void on_abort(int number)
{
    (void)number;
    on_death();
    _exit(1);
}

static void keep(void)
{
    struct input *kept = &inputs[input_count];
    char path[4096];

    if (input_count == INPUTS_MOST || (kept->data = malloc(current.size + 1)) == NULL)
        return;
    memcpy(kept->data, current.data, current.size);
    kept->size = current.size;
    input_count++;
    if (found == NULL)
        return;
    snprintf(path, sizeof path, "%s/%zu", found, input_count);
    write_input(path);
}

/* Runs the current input; a copy of its own size, so that a byte too far is one. */
static void run(void)
{
    uint8_t *copy = malloc(current.size > 0 ? current.size : 1);

    if (copy == NULL)
        abort();
    memcpy(copy, current.data, current.size);
    news = false;
    LLVMFuzzerTestOneInput(copy, current.size);
    free(copy);
    if (news)
        keep();
}

static void insert(size_t at, const void *bytes, size_t count)
{
    if (current.size + count > INPUT_MOST)
        return;
    memmove(current.data + at + count, current.data + at, current.size - at);
    memcpy(current.data + at, bytes, count);
    current.size += count;
}

static void remove_at(size_t at, size_t count)
{
    memmove(current.data + at, current.data + at + count, current.size - at - count);
    current.size -= count;
}

static void mutate_once(void)
{
    static const uint64_t numbers[] = {0,      1,          0x7f,       0x80,       0xff, 4096,
                                       0x7fff, 0xffff,     0x7fffffff, 0xffffffff, UINT64_MAX};
    const struct input *other = &inputs[draw((uint32_t)input_count)];
    const size_t at = draw((uint32_t)current.size + 1), left = current.size - at;
    const size_t count = left > 0 ? 1 + draw((uint32_t)(left < 64 ? left : 64)) : 0;
    uint8_t copy[64];

    switch (draw(8)) {
    case 0:
    case 1:
        if (left > 0)
            current.data[at] = (uint8_t)draw(256);
        break;
    case 2:
        if (left > 0)
            current.data[at] ^= (uint8_t)(1 << draw(8));
        break;
    case 3:
        remove_at(at, count);
        break;
    case 4:
        memcpy(copy, current.data + at, count);
        insert(draw((uint32_t)current.size + 1), copy, count);
        break;
    case 5: {
        const char *word = words[draw(WORDS)];

        insert(at, word, strlen(word));
        break;
    }
    case 6: {
        const uint64_t number = numbers[draw(sizeof numbers / sizeof numbers[0])];
        const size_t width = (size_t)1 << draw(4);

        memcpy(current.data + at, &number, width < left ? width : left);
        break;
    }
    default:
        if (other->size > 0) {
            const size_t from = draw((uint32_t)other->size), most = other->size - from;

            insert(at, other->data + from, most < 256 ? most : 256);
        }
        break;
    }
}

static void read_corpus(const char *folder)
{
    DIR *directory = opendir(folder);
    const struct dirent *entry;

    if (directory == NULL) {
        perror(folder);
        exit(2);
    }
    while ((entry = readdir(directory)) != NULL) {
        char path[4096];
        FILE *file;

        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        if (entry->d_name[0] == '.' || (file = fopen(path, "rb")) == NULL)
            continue;
        current.size = fread(current.data, 1, INPUT_MOST, file);
        fclose(file);
        run();
        if (!news)
            keep(); /* nothing new by itself, but something to begin from */
    }
    closedir(directory);
}

int main(int count, char **arguments)
{
    time_t end;
    uint64_t runs = 0;
    size_t places = 0, given;

    if (count < 4) {
        fprintf(stderr, "usage: %s SECONDS SEED CORPUS [FOUND]\n", arguments[0]);
        return 2;
    }
    end = time(NULL) + atoi(arguments[1]);
    state = strtoull(arguments[2], NULL, 10) * 2 + 1;
    current.data = malloc(INPUT_MOST);
    __sanitizer_set_death_callback(on_death);
    signal(SIGABRT, on_abort);
    read_corpus(arguments[3]);
    found = count > 4 ? arguments[4] : NULL;
    given = input_count;
    while (input_count > 0 && (runs % 256 != 0 || time(NULL) < end)) {
        const struct input *input = &inputs[draw((uint32_t)input_count)];

        memcpy(current.data, input->data, input->size);
        current.size = input->size;
        for (uint32_t i = 1 + draw(6); i > 0; i--)
            mutate_once();
        run();
        runs++;
    }
    for (size_t i = 0; i < PLACES; i++)
        places += reached[i];
    printf("%s: %llu runs, %zu places, %zu inputs given, %zu found\n", arguments[0], (unsigned long long)runs, places,
           given, input_count - given);
    return given > 0 && places > 0 ? 0 : 1;
}
