/* SPDX-License-Identifier: MIT */

/*
 * internal.h: what the files of the library may know of each other, in the
 * order in which a driver's life and then a request passes through them.
 *
 * Functions return 0 or a negative errno value unless said otherwise. One that
 * fails has left a message by libbdus_error() then, and its callers pass the
 * value on in silence. The public functions turn it into false and errno by
 * libbdus_error_report(), as their last step.
 */

#ifndef LIBBDUS_INTERNAL_H
#define LIBBDUS_INTERNAL_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <bdus.h>
#include <kbdus.h>

#define LIBBDUS_EXPORT __attribute__((visibility("default")))
#define LIBBDUS_PRINTF(string, first) \
	__attribute__((format(printf, string, first)))

/* Node of the device with a seqnum, for printf() with PRIu64. */
#define LIBBDUS_NODE_FORMAT "/dev/bdus-%" PRIu64
#define LIBBDUS_PATH_SIZE 64

/* ---- error.c: messages of threads and names of errno values ---- */

#define LIBBDUS_MESSAGE_SIZE 1024

/* A message taken out of the thread that it arose in. */
struct libbdus_error {
	char message[LIBBDUS_MESSAGE_SIZE];
};

int libbdus_error(int errnum, const char *format, ...) LIBBDUS_PRINTF(2, 3);
int libbdus_error_with_errno(int errnum, const char *format, ...)
	LIBBDUS_PRINTF(2, 3);
void libbdus_error_save(struct libbdus_error *error);
void libbdus_error_restore(const struct libbdus_error *error);
bool libbdus_error_report(int ret, int errno_on_entry);

/* ---- run.c: a driver from its first check to its end ---- */

struct libbdus_backend;

/* The arguments of one bdus_run() or bdus_rerun(). */
struct libbdus_run_args {
	const struct bdus_ops *ops;
	/* May end before request_timeout_ms: see attrs_size. */
	const struct bdus_attrs *attrs;
	/* How much of attrs the caller knows of. */
	size_t attrs_size;
	void *private_data;
	bool is_rerun;
	/* The device, if is_rerun. */
	uint64_t dev_id;
};

/* Size of struct bdus_attrs before 0.1.3. */
#define LIBBDUS_ATTRS_SIZE_0_1_0 offsetof(struct bdus_attrs, request_timeout_ms)

int libbdus_run(const struct libbdus_backend *backend,
		const struct libbdus_run_args *args);

/* ---- ops.c: which callbacks there are ---- */

#define LIBBDUS_CALLBACK_COUNT 12

/* One of the members of struct bdus_ops. */
struct libbdus_callback {
	const char *name;
	size_t offset;
	/* The request types that it serves: KBDUS_OP() bits. */
	uint32_t operations;
};

extern const struct libbdus_callback libbdus_callbacks[LIBBDUS_CALLBACK_COUNT];

bool libbdus_ops_has(const struct bdus_ops *ops,
		     const struct libbdus_callback *callback);
uint32_t libbdus_ops_operations(const struct bdus_ops *ops);
int libbdus_ops_validate(const struct bdus_ops *ops);
int libbdus_ops_validate_rerun(const struct bdus_ops *ops, uint32_t operations);

/* ---- attrs.c: attributes in and out of the module's terms ---- */

int libbdus_attrs_validate(const struct bdus_attrs *attrs);
int libbdus_attrs_validate_rerun(const struct bdus_attrs *attrs,
				 const struct kbdus_device_config *device);
void libbdus_attrs_to_device(const struct bdus_attrs *attrs,
			     uint32_t operations,
			     struct kbdus_device_config *device);
void libbdus_attrs_from_device(struct bdus_attrs *attrs,
			       const struct kbdus_device_config *device);

/* ---- backend.c, backend_*.c: what makes the block device ---- */

struct libbdus_protocol;

/* A driver's hold on its device. Written before there is a second thread. */
struct libbdus_session {
	/* How workers get their requests; set by the backend's open(). */
	const struct libbdus_protocol *protocol;
	/* The backend's: its control file. */
	int fd;
	/* How many workers are wanted; set before create() and attach(). There
	 * are never more than the device can have requests under way. */
	uint32_t workers_wanted;
	/* The protocol's: what the workers share. */
	void *shared;
	/* The device as it is; set by create() and attach(). */
	struct kbdus_device_config device;
	/* Largest payload of any request; set likewise. */
	uint32_t payload_size;
	/* The device's node; set likewise. */
	char path[LIBBDUS_PATH_SIZE];
	/* Whether the device will be gone if this driver ends now, because it
	 * made it and the device was not yet usable. */
	bool is_unfinished;
};

/* All that a driver needs from whatever makes its device. */
struct libbdus_backend {
	const char *name;
	/* Get hold of it. Nothing is left behind on failure. */
	int (*open)(struct libbdus_session *session);
	/* Describe an existing device, without becoming its driver. */
	int (*describe)(const struct libbdus_session *session, uint64_t dev_id,
			struct kbdus_device_config *device);
	/* Make the device that session->device asks for. */
	int (*create)(struct libbdus_session *session);
	/* Become the driver of an existing device. */
	int (*attach)(struct libbdus_session *session, uint64_t dev_id);
	/* Make all workers receive TERMINATE. Any thread; cannot fail. */
	void (*stop)(const struct libbdus_session *session);
	/* Say that the driver ends cleanly, if it matters to anyone. */
	void (*mark_successful)(const struct libbdus_session *session);
	/* Let go. The device ends or waits for a successor. */
	void (*close)(struct libbdus_session *session);
};

extern const struct libbdus_backend libbdus_backend_kbdus;

const struct libbdus_backend *libbdus_backend_choose(void);

/* ---- protocol.c, protocol_*.c: how requests come and go ---- */

/* A request or notification in the hands of a worker. */
struct libbdus_request {
	/* Of the protocol; 0 if there is nothing to answer. */
	uint64_t handle;
	uint64_t offset;
	/* Size of the range, or the command of an IOCTL. */
	uint32_t length;
	/* enum kbdus_request_type */
	uint32_t type;
	/* What the request carries and what its answer carries, page-aligned,
	 * session->payload_size bytes. NULL if there can be none. */
	void *payload;
};

struct libbdus_protocol {
	const char *name;
	/* Fill in what the module must be told beside the name. May be NULL. */
	int (*prepare)(struct libbdus_session *session,
		       struct kbdus_protocol_config *config);
	/* The session has a device: make what the workers share, of what the
	 * module made of the configuration. May be NULL. */
	int (*begin)(struct libbdus_session *session,
		     const struct kbdus_protocol_config *config);
	/* This process serves from now on, with all workers, and no other does
	 * any more. Tell whoever wants to know. May be NULL. */
	void (*settle)(const struct libbdus_session *session);
	/* Take back what prepare() and begin() made, if they were called. The control
	 * file is still there. May be NULL. */
	void (*end)(struct libbdus_session *session);
	/* Make the place of the worker with this index. No other threads yet. */
	int (*open)(const struct libbdus_session *session, unsigned int index,
		    void **channel);
	/* Answer the request (unless its handle is 0) with an errno value or 0,
	 * then wait for the next one and put it there. Several threads, each
	 * with its own channel. Goes on after signals. */
	int (*exchange)(const struct libbdus_session *session, void *channel,
			struct libbdus_request *request, int error);
	/* Take back what open() made. No other threads any more. */
	void (*close)(const struct libbdus_session *session, void *channel);
};

extern const struct libbdus_protocol libbdus_protocol_ioctl;
extern const struct libbdus_protocol libbdus_protocol_mmap;
extern const struct libbdus_protocol libbdus_protocol_uds;

#define LIBBDUS_PROTOCOL_PARAMETER "/sys/module/kbdus/parameters/protocol"

int libbdus_protocol_choose(const char *parameter_path, const char *wanted,
			    const struct libbdus_protocol **out);

/* ---- worker.c: the threads that serve ---- */

struct libbdus_crew;

/* One thread that serves requests. */
struct libbdus_worker {
	struct libbdus_crew *crew;
	/* 0 is the thread that called bdus_run(). */
	unsigned int index;
	pthread_t thread;
	/* The protocol's. */
	void *channel;
	/* What it works on, and the answer to it. */
	struct libbdus_request request;
	int answer;
	/* How it ended; read by worker 0 after joining. */
	int result;
	struct libbdus_error error;
};

/* All workers of a driver. */
struct libbdus_crew {
	const struct libbdus_backend *backend;
	const struct libbdus_session *session;
	struct bdus_ctx *ctx;
	struct libbdus_worker *workers;
	unsigned int size;
	/* Workers that may still have a request in hand; under lock. */
	unsigned int serving;
	pthread_mutex_t lock;
	/* A worker stopped serving. */
	pthread_cond_t stopped;
};

int libbdus_crew_open(struct libbdus_crew *crew,
		      const struct libbdus_backend *backend,
		      const struct libbdus_session *session,
		      struct bdus_ctx *ctx);
int libbdus_crew_await_available(struct libbdus_crew *crew,
				 bool *is_available);
int libbdus_crew_serve(struct libbdus_crew *crew);
void libbdus_crew_close(struct libbdus_crew *crew);

/* ---- dispatch.c: from request to callback ---- */

int libbdus_dispatch(struct bdus_ctx *ctx, unsigned int thread,
		     const struct libbdus_request *request);

/* ---- daemonize.c, memory.c: what happens to the process ---- */

int libbdus_daemonize(void);
int libbdus_daemonize_keep(int fd);

/* What one run has changed and will put back. */
struct libbdus_memory {
	bool is_protected;
	bool set_io_flusher;
};

void libbdus_memory_protect(struct libbdus_memory *memory);
void libbdus_memory_lock(const struct libbdus_memory *memory);
void libbdus_memory_unprotect(const struct libbdus_memory *memory);

/* ---- log.c: what bdus_attrs::log shows ---- */

void libbdus_log_line(const struct bdus_attrs *attrs, const char *format, ...)
	LIBBDUS_PRINTF(2, 3);
void libbdus_log_call(const struct bdus_ctx *ctx, unsigned int thread,
		      const char *format, ...) LIBBDUS_PRINTF(3, 4);
void libbdus_log_ops(const struct bdus_attrs *attrs,
		     const struct bdus_ops *ops);
void libbdus_log_attrs(const struct bdus_attrs *before,
		       const struct bdus_attrs *after);

/* ---- info.c: what is known about a device ---- */

void libbdus_info_translate(const struct kbdus_device_info *from,
			    struct bdus_dev_info *to);

/* ---- control.c: the control device ---- */

int libbdus_control_open(int *out_fd);
int libbdus_control_open_checked(int *out_fd);
int libbdus_control_get_version(int fd, struct kbdus_version *version);
int libbdus_control_check_version(const struct kbdus_version *module);
int libbdus_control_call(int fd, unsigned long command, void *argument,
			 uint64_t dev_id, const char *purpose);
int libbdus_control_get_info(int fd, uint64_t dev_id,
			     struct kbdus_device_info *info);

#endif
