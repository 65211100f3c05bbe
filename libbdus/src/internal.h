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

#include <linux/capability.h>
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

/* Without a backend, the environment or the device decides on one. */
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

/* Complete what bdus_run() was given as the module would, where it has no say. */
void libbdus_attrs_adjust(struct kbdus_device_config *device);

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
	/* Whether the device's queue is as deep as the user wants it. */
	bool is_depth_wanted;
	/* How long attach() waits for the present driver; 0: the default. */
	uint32_t leave_timeout_ms;
	/* As in the attributes. */
	uint32_t spin_time_us;
	/* Whether it waits for a device that is not yet available. */
	bool wait_until_available;
	/* The protocol's: what the workers share. */
	void *shared;
	/* The backend's: what else it has of the device. */
	void *holding;
	/* The device as it is; set by create() and attach(). */
	struct kbdus_device_config device;
	/* Largest payload of any request; set likewise. */
	uint32_t payload_size;
	/* The device's node; set likewise. */
	char path[LIBBDUS_PATH_SIZE];
	/* How many there are; set before the protocol's open(). */
	uint32_t workers;
	/* More workers than this make no sense; 0 for no limit. Set by create() and
	 * attach(). */
	uint32_t workers_limit;
	/* Whether the device will be gone if this driver ends now, because it
	 * made it and the device was not yet usable. */
	bool is_unfinished;
};

/* What others than its driver do to a device. */
struct libbdus_management {
	int (*flush)(const struct libbdus_backend *backend, uint64_t dev_id);
	/* Wait until it is gone. 0 if it is already. */
	int (*destroy)(const struct libbdus_backend *backend, uint64_t dev_id);
	/* Ask its driver to end. */
	int (*terminate_driver)(const struct libbdus_backend *backend,
				uint64_t dev_id);
	int (*get_info)(const struct libbdus_backend *backend, uint64_t dev_id,
			struct bdus_dev_info *info);
};

struct libbdus_record;

/* Why a device is taken apart. */
enum libbdus_occasion {
	/* Somebody destroys it. */
	LIBBDUS_DESTROYED,
	/* Its driver ends, and is who does it. */
	LIBBDUS_DRIVER_ENDS,
	/* Somebody looks at one that was over already: nothing is worth waiting for. */
	LIBBDUS_LOOKED_AT,
};

/* What a backend adds to manage_recorded.c, if its devices have records. */
struct libbdus_recorded {
	/* Ask the driver to end. */
	void (*terminate_driver)(const struct libbdus_record *record);
	/* Have a process destroy the device that looks after it. Returns 1 if it has,
	 * 0 if there is none. NULL if there never is. */
	int (*delegate)(uint64_t dev_id);
	/* Take the device apart, as far as it is there, its driver included. Returns
	 * 1 if clients keep some of it. The record, which says that the device is
	 * over, is locked; it was read before that was said. */
	int (*take_apart)(const struct libbdus_record *record,
			  enum libbdus_occasion occasion);
	/* Whether the kernel's device with that path is the one of the record. NULL
	 * if no other can be. */
	bool (*has_device)(const struct libbdus_record *record);
	/* Count the requests that were not answered. NULL if sysfs tells. */
	uint32_t (*count_waiting)(const struct libbdus_record *record);
};

/* All that is needed from whatever makes devices. */
struct libbdus_backend {
	/* What it can do, but not whether it can here. Nothing else in the
	 * library, the commands or the tests knows. */
	struct bdus_backend_info traits;
	const struct libbdus_management *management;
	/* For libbdus_management_recorded. */
	const struct libbdus_recorded *recorded;
	/* Get hold of it. Nothing is left behind on failure. */
	int (*open)(struct libbdus_session *session);
	/* Describe an existing device, without becoming its driver. NULL, as
	 * attach(), if drivers cannot be replaced. */
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
	/* Whether the process that makes the device must be the one that serves it to
	 * the end, so that a daemon is one from before that. */
	bool serves_in_one_process;
};

extern const struct libbdus_backend libbdus_backend_kbdus;
extern const struct libbdus_backend libbdus_backend_ublk;
extern const struct libbdus_backend libbdus_backend_nbd;
extern const struct libbdus_backend libbdus_backend_fuse;

extern const struct libbdus_management libbdus_management_kbdus;
extern const struct libbdus_management libbdus_management_recorded;

/* In manage_<backend>.c. */
extern const struct libbdus_recorded libbdus_recorded_ublk;
extern const struct libbdus_recorded libbdus_recorded_nbd;
extern const struct libbdus_recorded libbdus_recorded_fuse;

/* What a driver needs of a backend beyond what each can do. */
struct libbdus_needs {
	/* KBDUS_OP() bits of its callbacks. */
	uint32_t operations;
	bool recovery;
	bool time_out;
	bool orphan_time_out;
};

int libbdus_backend_check(const struct libbdus_backend *backend,
			  const struct libbdus_needs *needs);
int libbdus_backend_choose(const char *wanted,
			   const struct libbdus_needs *needs,
			   const struct libbdus_backend **out,
			   struct libbdus_session *session);
int libbdus_backend_of(uint64_t dev_id, const struct libbdus_backend **out);

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
	/* How deep the queue of a new device should be at least, for the protocol to be
	 * as fast as it can. May be 0. */
	uint32_t least_depth;
	/* Fill in what the module must be told beside the name. May be NULL. */
	int (*prepare)(struct libbdus_session *session,
		       struct kbdus_protocol_config *config);
	/* The session has a device: make what the workers share, of what the
	 * module made of the configuration. May be NULL. */
	int (*begin)(struct libbdus_session *session,
		     const struct kbdus_protocol_config *config);
	/* Have all memory be there that serving this worker touches, as getting some
	 * may wait for the device. Before settle(). NULL if it is anyway. */
	void (*populate)(const struct libbdus_session *session, void *channel);
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
	/* The worker will exchange nothing any more; in its own thread. May be NULL. */
	void (*leave)(const struct libbdus_session *session, void *channel);
	/* Take back what open() made. No other threads any more. */
	void (*close)(const struct libbdus_session *session, void *channel);
	/* Whether the device becomes available only when all workers exchange. No
	 * request reaches two of them at a time until then, and none between
	 * DEVICE_AVAILABLE and settle(). */
	bool needs_all_workers;
};

extern const struct libbdus_protocol libbdus_protocol_ioctl;
extern const struct libbdus_protocol libbdus_protocol_mmap;
extern const struct libbdus_protocol libbdus_protocol_uds;
extern const struct libbdus_protocol libbdus_protocol_ring;

/* Of the backend "ublk"; see ublk.h. */
extern const struct libbdus_protocol libbdus_protocol_ublk;
/* Of the backend "nbd"; see nbd.h. */
extern const struct libbdus_protocol libbdus_protocol_nbd;

/* Of the backend "fuse"; see fuse.h. */
extern const struct libbdus_protocol libbdus_protocol_fuse;

#define LIBBDUS_PROTOCOL_PARAMETER "/sys/module/kbdus/parameters/protocol"

int libbdus_protocol_choose(const char *parameter_path, const char *wanted,
			    const struct libbdus_protocol **out);

/* ---- pace.c: how many replies may wait for each other ---- */

/* Of one worker. */
struct libbdus_pace {
	/* So many; now, and at most. */
	uint32_t limit;
	uint32_t highest;
	/* Requests that were served since the last measurement. */
	uint32_t unmeasured;
	/* When this batch began; 0 if it is not measured. */
	uint64_t began_at;
};

void libbdus_pace_init(struct libbdus_pace *pace, uint32_t room);
void libbdus_pace_begin(struct libbdus_pace *pace);
void libbdus_pace_end(struct libbdus_pace *pace, uint32_t requests);

/* ---- spin.c: how long to look for a request before sleeping ---- */

/* Of one worker. */
struct libbdus_spin {
	/* For the next wait, and ever; 0 for not at all. */
	uint64_t budget_ns;
	uint64_t longest_ns;
};

uint64_t libbdus_spin_longest(uint32_t spin_time_us);
void libbdus_spin_init(struct libbdus_spin *spin, uint64_t longest_ns);
void libbdus_spin_learn(struct libbdus_spin *spin, uint64_t waited_ns);

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
	/* Workers populate their stacks, too. */
	bool is_populated;
	/* Workers whose threads are to be joined, and the first, in whose there is
	 * nothing to join. */
	unsigned int started;
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
void libbdus_crew_populate(struct libbdus_crew *crew);
int libbdus_crew_serve(struct libbdus_crew *crew);
int libbdus_crew_join(struct libbdus_crew *crew, int ret);
void libbdus_crew_close(struct libbdus_crew *crew);

/* ---- dispatch.c: from request to callback ---- */

int libbdus_dispatch(struct bdus_ctx *ctx, unsigned int thread,
		     const struct libbdus_request *request);
int libbdus_client_error(uint32_t type, int error);

/* ---- daemonize.c, memory.c, privilege.c: what happens to the process ---- */

/* A daemon that is on its way. */
struct libbdus_daemon {
	/* Where it says what becomes of it; -1 if there is none. */
	int report_fd;
};

int libbdus_daemonize(void);
int libbdus_daemonize_begin(struct libbdus_daemon *daemon);
int libbdus_daemonize_end(struct libbdus_daemon *daemon);
void libbdus_daemonize_give_up(const struct libbdus_daemon *daemon, int ret);
int libbdus_daemonize_keep(int fd);

/* What one run has changed and will put back. */
struct libbdus_memory {
	bool is_protected;
	bool set_io_flusher;
};

void libbdus_memory_protect(struct libbdus_memory *memory);
void libbdus_memory_lock(const struct libbdus_memory *memory);
void libbdus_memory_populate(void *memory, size_t size);
void libbdus_memory_populate_stack(void);
void libbdus_memory_unprotect(const struct libbdus_memory *memory);

/* What a thread does without for a moment. */
struct libbdus_privilege {
	bool is_given_up;
	/* Its capabilities otherwise. */
	struct __user_cap_data_struct before[2];
};

int libbdus_require_root(void);
void libbdus_privilege_give_up(struct libbdus_privilege *privilege);
void libbdus_privilege_take_back(struct libbdus_privilege *privilege);

/* ---- record.c, record_*.c: devices of which the library itself keeps track ---- */

/* Their ids begin here; below are those of the module. */
#define LIBBDUS_FIRST_RECORDED_ID UINT64_C(1000000000000)

/* Where they are kept. */
extern const char *libbdus_record_directory;

/* What others need to know to manage a device. */
struct libbdus_record {
	char backend[16];
	/* A random number that only this device has, by which backends mark what the
	 * kernel makes for it: ids may begin anew in another directory. */
	uint64_t mark;
	/* The node. */
	char path[LIBBDUS_PATH_SIZE];
	/* As the driver sees it. */
	struct kbdus_device_config device;
	/* The backend's. */
	uint32_t numbers[2];
	/* Now: enum bdus_dev_state, and the driver's process, 0 if there is none. */
	uint32_t state;
	uint32_t driver_pid;
	/* Whether that process, or one forked off it, still holds the device. */
	bool is_driven;
	/* Whether requests have waited for another driver for long enough and fail. */
	bool is_expired;
};

/* Bytes of a file that are locked by the device's driver, and by the one that is
 * about to be. */
enum libbdus_record_place { LIBBDUS_RECORD_DRIVER, LIBBDUS_RECORD_SUCCESSOR };

#define LIBBDUS_RECORD_NAME_SIZE 48
#define LIBBDUS_RECORD_PATH_SIZE 128

int libbdus_record_create(const char *backend, struct libbdus_record *record,
			  int *out_fd);
void libbdus_record_name(const struct libbdus_record *record,
			 char name[LIBBDUS_RECORD_NAME_SIZE]);
int libbdus_record_claim(uint64_t dev_id, enum libbdus_record_place place,
			int *out_fd);
int libbdus_record_take(uint64_t dev_id, int *out_fd);
int libbdus_record_write(const struct libbdus_record *record);
void libbdus_record_set_state(int fd, uint32_t state, int driver_pid);
void libbdus_record_set_terminated(uint64_t dev_id);
void libbdus_record_set_expired(uint64_t dev_id);
void libbdus_record_set_node(int fd, uint32_t major, uint32_t minor);
int libbdus_record_read(uint64_t dev_id, struct libbdus_record *record);
uint32_t libbdus_record_service(const struct libbdus_record *record);
int libbdus_record_lock(uint64_t dev_id, int *out_fd);
void libbdus_record_remove(uint64_t dev_id);
const char *libbdus_record_file(char path[LIBBDUS_RECORD_PATH_SIZE],
				uint64_t dev_id, const char *name);

/* record_find.c */
int libbdus_record_next(uint64_t *dev_id);
int libbdus_record_find(uint32_t major, uint32_t minor, uint64_t *dev_id);
int libbdus_record_find_path(const char *path, uint64_t *dev_id);

/* record_stop.c */
int libbdus_record_make_stop(uint64_t dev_id, int fds[2]);
bool libbdus_record_ask_to_stop(uint64_t dev_id);
bool libbdus_record_is_serving(uint64_t dev_id);

/* ---- manage_recorded.c: what is done to devices that have records ---- */

int libbdus_recorded_is_gone(uint64_t dev_id);
int libbdus_recorded_await(const struct libbdus_session *session,
			   uint64_t dev_id, struct libbdus_record *record);
void libbdus_recorded_end(const struct libbdus_backend *backend,
			  const struct libbdus_session *session, int record_fd);

/* ---- system.c: time and descriptors ---- */

uint64_t libbdus_now_ns(void);
uint64_t libbdus_now_ms(void);
bool libbdus_pause(void);
void libbdus_close(int *fd);

/* ---- disk.c: what the kernel says of block devices ---- */

int libbdus_disk_open(const char *path, const char *attribute, int flags);
bool libbdus_disk_read(const char *path, const char *attribute, char *text,
		       size_t size);
bool libbdus_disk_exists(const char *path);
bool libbdus_disk_get_numbers(const char *path, uint32_t *major,
			      uint32_t *minor);
uint64_t libbdus_disk_count_answered(const char *path);
uint32_t libbdus_disk_count_waiting(const char *path);
int libbdus_disk_flush(const char *path);

/* ---- load.c: libraries that only some backends need ---- */

struct libbdus_symbol {
	const char *library;
	const char *name;
	/* Where the pointer to the function goes. */
	void *place;
};

struct libbdus_symbols {
	const struct libbdus_symbol *list;
	size_t count;
	/* Of load.c. */
	bool are_loaded;
};

int libbdus_load(struct libbdus_symbols *symbols);

/* ---- child.c: what must not be done by the driver's process ---- */

/* What a child says when it has ended. */
struct libbdus_outcome {
	/* An errno value. */
	int error;
	/* Where it arose: of the caller's own making. */
	int step;
};

#define LIBBDUS_CHILD_FDS 6

/* What a child gets to do, and with what. */
struct libbdus_task {
	/* May use nothing but system calls. */
	struct libbdus_outcome (*run)(const void *argument);
	const void *argument;
	/* Become descriptors 0 and up; -1: left out. */
	int fds[LIBBDUS_CHILD_FDS];
};

struct libbdus_child {
	int pid;
	/* Readable when it has ended. */
	int fd;
};

int libbdus_child_start(const struct libbdus_task *task,
			struct libbdus_child *child);
int libbdus_child_end(const struct libbdus_child *child,
		      struct libbdus_outcome *outcome);

/* ---- loop.c: the kernel's loop devices ---- */

/* One that is ours. */
struct libbdus_loop {
	uint32_t number;
	char path[LIBBDUS_PATH_SIZE];
	/* The device, held exclusively, and what sysfs lets be adjusted. */
	int fd;
	int max_sectors_fd;
	int discard_fd;
	int write_zeroes_fd;
	int write_cache_fd;
};

#define LIBBDUS_LOOP_NODE_FORMAT "/dev/loop%" PRIu32

int libbdus_loop_probe(void);
int libbdus_loop_find(uint32_t *number);
int libbdus_loop_reserve(uint32_t number, struct libbdus_loop *loop);
void libbdus_loop_release(struct libbdus_loop *loop);
bool libbdus_loop_is_backed_by(const char *path, const char *name);
bool libbdus_loop_is_bound(const char *path);
void libbdus_loop_clear(const char *path);
int libbdus_loop_remove(uint32_t number);

/* ---- log.c: what bdus_attrs::log shows ---- */

void libbdus_log_line(const struct bdus_attrs *attrs, const char *format, ...)
	LIBBDUS_PRINTF(2, 3);
void libbdus_log_call(const struct bdus_ctx *ctx, unsigned int thread,
		      const char *format, ...) LIBBDUS_PRINTF(3, 4);
void libbdus_log_ops(const struct bdus_attrs *attrs,
		     const struct bdus_ops *ops);
void libbdus_log_attrs(const struct bdus_attrs *before,
		       const struct bdus_attrs *after);

/* ---- manage_kbdus.c: what is done to devices of the module ---- */

int libbdus_kbdus_next(uint64_t *dev_id);
int libbdus_kbdus_find(const char *path, uint32_t major, uint32_t minor,
		       uint64_t *dev_id);

/* ---- info.c: what is known about a device ---- */

void libbdus_info_translate(const struct kbdus_device_info *from,
			    struct bdus_dev_info *to);

/* ---- control.c: the control device ---- */

/* The first module that has all commands of manage_kbdus.c. */
#define LIBBDUS_MANAGEABLE_PATCH 3

void libbdus_control_load_module(const char *name);
int libbdus_control_open(int *out_fd);
int libbdus_control_open_checked(int *out_fd);
int libbdus_control_open_managing(int *out_fd);
int libbdus_control_get_version(int fd, struct kbdus_version *version);
int libbdus_control_check_version(const struct kbdus_version *module,
				  uint32_t least_patch);
int libbdus_control_call(int fd, unsigned long command, void *argument,
			 uint64_t dev_id, const char *purpose);
int libbdus_control_get_info(int fd, uint64_t dev_id,
			     struct kbdus_device_info *info);

#endif
