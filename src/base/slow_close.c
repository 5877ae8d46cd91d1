/* SPDX-License-Identifier: Apache-2.0 */
#include "base/slow_close.h"

#include <pthread.h>
#include <signal.h>

#include "base/util.h"

#define THREADS_MAX 64
#define STACK_SIZE (64 << 10)

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t idle = PTHREAD_COND_INITIALIZER;
static int *queue;
static size_t n_queued, allocated, n_threads;

static void *closer(void *aux WR_UNUSED)
{
    pthread_mutex_lock(&mutex);
    while (n_queued) {
        int fd = queue[--n_queued];

        pthread_mutex_unlock(&mutex);
        close(fd);
        pthread_mutex_lock(&mutex);
    }
    if (!--n_threads) {
        pthread_cond_broadcast(&idle);
    }
    pthread_mutex_unlock(&mutex);
    return NULL;
}

/* Signals are the main thread's: a thread inherits a mask that blocks them all. */
static int start_thread(void)
{
    pthread_attr_t attr;
    pthread_t thread;
    sigset_t all, old;
    int error;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attr, STACK_SIZE);
    error = pthread_create(&thread, &attr, closer, NULL);
    pthread_attr_destroy(&attr);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return -error;
}

void slow_close(int fd)
{
    bool taken = true;

    if (fd < 0) {
        return;
    }
    pthread_mutex_lock(&mutex);
    if (n_queued == allocated) {
        allocated = MAX(64, allocated * 2);
        queue = xrealloc(queue, allocated * sizeof *queue);
    }
    queue[n_queued++] = fd;
    if (n_threads < THREADS_MAX) {
        n_threads++;
        if (start_thread()) {
            n_threads--;
            taken = n_threads > 0;
            n_queued -= !taken;
        }
    }
    pthread_mutex_unlock(&mutex);
    if (!taken) {
        close(fd);
    }
}

void slow_close_wait(void)
{
    pthread_mutex_lock(&mutex);
    while (n_threads) {
        pthread_cond_wait(&idle, &mutex);
    }
    free(queue);
    queue = NULL;
    allocated = 0;
    pthread_mutex_unlock(&mutex);
}
