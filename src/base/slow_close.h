/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_BASE_SLOW_CLOSE_H
#define WARREN_BASE_SLOW_CLOSE_H
/*
 * Closing without waiting. The kernel's close() of a packet socket sleeps for an RCU grace period, tens of
 * milliseconds: an event loop would stand still for each port that is removed, and a switch of 2,000 ports would leave
 * after a minute. Helper threads do nothing but close(); many at a time share the kernel's grace periods. They come
 * when there is something to close and go when there is nothing more. The only threads there are: the descriptors are
 * given up by whoever calls, so nothing is shared with them.
 */

/* Gives up FD (-1 is fine); it is closed soon. When no thread can be made, it is closed at once. */
void slow_close(int fd);
/* Until all that was given up is closed; before the process ends, so that nothing of it is left behind then. */
void slow_close_wait(void);

#endif
