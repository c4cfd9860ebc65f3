/*
 * An HTTP server that promises 100,000 bytes, sends 3,000 and gives up, in as
 * many ways as a stack may have to be followed through. One connection after
 * the other; `--unix PATH`; prints `listening PATH`.
 *
 *   /shutdown   give_up() calls shutdown()
 *   /close      give_up() calls close()
 *   /thread     the same in a thread
 *   /signal     a signal handler calls it
 *   /deep       behind a function with 100,000 bytes on the stack, after a while
 *   /buffer     behind a function with 24,000 bytes that are not used,
 *               after a while
 *   /generated  behind code made at run time
 *   /whole      all of the 100,000 bytes, then close()
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define NOINLINE __attribute__((noinline, noclone))
#define PROMISED 100000
#define WRITTEN 3000

static int connection;
static int orderly;
static volatile int calls;

/* What follows a call keeps it from being the caller's last deed, a jump. */
NOINLINE static int give_up(int fd)
{
	int result = orderly ? shutdown(fd, SHUT_WR) : close(fd);
	calls++;
	return result;
}

NOINLINE static int handle(void)
{
	int result = give_up(connection);
	calls++;
	return result;
}

static void on_signal(int number)
{
	handle();
	calls += number;
}

static void *in_thread(void *nothing)
{
	handle();
	calls++;
	return nothing;
}

NOINLINE static int deep(void)
{
	volatile char room[100000];
	for (size_t at = 0; at < sizeof room; at++)
		room[at] = 1;
	usleep(200000);
	int result = handle();
	return result + room[0];
}

NOINLINE static int buffer(void)
{
	volatile char room[24000];
	usleep(200000);
	int result = handle();
	room[0] = 1;
	return result + room[0];
}

/* Code that calls a function, as a just-in-time compiler would write it. */
static int generated(int (*function)(void))
{
#if defined(__x86_64__)
	/* sub $8,%rsp; call *%rdi; add $8,%rsp; ret */
	static const unsigned char code[] = { 0x48, 0x83, 0xec, 0x08, 0xff, 0xd7,
					      0x48, 0x83, 0xc4, 0x08, 0xc3 };
#elif defined(__aarch64__)
	/* stp x29,x30,[sp,#-16]!; blr x0; ldp x29,x30,[sp],#16; ret */
	static const unsigned char code[] = { 0xfd, 0x7b, 0xbf, 0xa9, 0x00, 0x00,
					      0x3f, 0xd6, 0xfd, 0x7b, 0xc1, 0xa8,
					      0xc0, 0x03, 0x5f, 0xd6 };
#endif
	void *memory = mmap(NULL, sizeof code, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		return -1;
	memcpy(memory, code, sizeof code);
	if (mprotect(memory, sizeof code, PROT_READ | PROT_EXEC) != 0)
		return -1;
	__builtin___clear_cache(memory, (char *)memory + sizeof code);
	int (*entry)(int (*)(void)) = (int (*)(int (*)(void)))memory;
	return entry(function);
}

NOINLINE static void serve(const char *path)
{
	pthread_t thread;
	if (strcmp(path, "/thread") == 0) {
		if (pthread_create(&thread, NULL, in_thread, NULL) == 0)
			pthread_join(thread, NULL);
	} else if (strcmp(path, "/signal") == 0) {
		raise(SIGUSR1);
	} else if (strcmp(path, "/deep") == 0) {
		deep();
	} else if (strcmp(path, "/buffer") == 0) {
		buffer();
	} else if (strcmp(path, "/generated") == 0) {
		generated(handle);
	} else {
		handle();
	}
	calls++;
}

NOINLINE static void answer(void)
{
	static char body[PROMISED];
	char request[4096], path[64] = "", head[128];
	ssize_t length = read(connection, request, sizeof request - 1);
	if (length <= 0) {
		close(connection);
		return;
	}
	request[length] = 0;
	if (sscanf(request, "%*s %63s", path) != 1)
		path[0] = 0;
	int written = strcmp(path, "/whole") == 0 ? PROMISED : WRITTEN;
	orderly = strcmp(path, "/shutdown") == 0;
	memset(body, 'x', sizeof body);
	int size = snprintf(head, sizeof head,
			    "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", PROMISED);
	if (write(connection, head, size) == size &&
	    write(connection, body, written) == written)
		serve(path);
	/* Closed already, or else no number is left behind. */
	close(connection);
}

int main(int count, char **arguments)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	if (count != 3 || strcmp(arguments[1], "--unix") != 0 ||
	    strlen(arguments[2]) >= sizeof address.sun_path)
		return 2;
	strcpy(address.sun_path, arguments[2]);
	int listener = socket(AF_UNIX, SOCK_STREAM, 0);
	if (listener < 0 ||
	    bind(listener, (struct sockaddr *)&address, sizeof address) != 0 ||
	    listen(listener, 16) != 0)
		return 1;
	signal(SIGUSR1, on_signal);
	printf("listening %s\n", arguments[2]);
	fflush(stdout);
	while ((connection = accept(listener, NULL, NULL)) >= 0)
		answer();
	return 1;
}
