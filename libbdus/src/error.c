/* SPDX-License-Identifier: MIT */

/*
 * error.c: what bdus_get_error_message() returns, and names of errno values.
 *
 * Every other file comes here when something fails; nothing is called in turn.
 * Owns one message per thread, which only failures change. A message is written
 * where the fact is known and stays in that thread: whoever moves a failure from
 * one thread to another, or runs callbacks between a failure and its report,
 * saves and restores it. No locks.
 */

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "internal.h"

static __thread char thread_message[LIBBDUS_MESSAGE_SIZE];

#define NAME(errnum) [errnum] = #errnum

/* Where two names have one value, the one that Linux' own header defines
 * directly. */
static const char *const errno_names[] = {
	NAME(EPERM), NAME(ENOENT), NAME(ESRCH), NAME(EINTR), NAME(EIO),
	NAME(ENXIO), NAME(E2BIG), NAME(ENOEXEC), NAME(EBADF), NAME(ECHILD),
	NAME(EAGAIN), NAME(ENOMEM), NAME(EACCES), NAME(EFAULT), NAME(ENOTBLK),
	NAME(EBUSY), NAME(EEXIST), NAME(EXDEV), NAME(ENODEV), NAME(ENOTDIR),
	NAME(EISDIR), NAME(EINVAL), NAME(ENFILE), NAME(EMFILE), NAME(ENOTTY),
	NAME(ETXTBSY), NAME(EFBIG), NAME(ENOSPC), NAME(ESPIPE), NAME(EROFS),
	NAME(EMLINK), NAME(EPIPE), NAME(EDOM), NAME(ERANGE), NAME(EDEADLK),
	NAME(ENAMETOOLONG), NAME(ENOLCK), NAME(ENOSYS), NAME(ENOTEMPTY),
	NAME(ELOOP), NAME(ENOMSG), NAME(EIDRM), NAME(ECHRNG), NAME(EL2NSYNC),
	NAME(EL3HLT), NAME(EL3RST), NAME(ELNRNG), NAME(EUNATCH), NAME(ENOCSI),
	NAME(EL2HLT), NAME(EBADE), NAME(EBADR), NAME(EXFULL), NAME(ENOANO),
	NAME(EBADRQC), NAME(EBADSLT), NAME(EBFONT), NAME(ENOSTR), NAME(ENODATA),
	NAME(ETIME), NAME(ENOSR), NAME(ENONET), NAME(ENOPKG), NAME(EREMOTE),
	NAME(ENOLINK), NAME(EADV), NAME(ESRMNT), NAME(ECOMM), NAME(EPROTO),
	NAME(EMULTIHOP), NAME(EDOTDOT), NAME(EBADMSG), NAME(EOVERFLOW),
	NAME(ENOTUNIQ), NAME(EBADFD), NAME(EREMCHG), NAME(ELIBACC),
	NAME(ELIBBAD), NAME(ELIBSCN), NAME(ELIBMAX), NAME(ELIBEXEC),
	NAME(EILSEQ), NAME(ERESTART), NAME(ESTRPIPE), NAME(EUSERS),
	NAME(ENOTSOCK), NAME(EDESTADDRREQ), NAME(EMSGSIZE), NAME(EPROTOTYPE),
	NAME(ENOPROTOOPT), NAME(EPROTONOSUPPORT), NAME(ESOCKTNOSUPPORT),
	NAME(EOPNOTSUPP), NAME(EPFNOSUPPORT), NAME(EAFNOSUPPORT),
	NAME(EADDRINUSE), NAME(EADDRNOTAVAIL), NAME(ENETDOWN),
	NAME(ENETUNREACH), NAME(ENETRESET), NAME(ECONNABORTED),
	NAME(ECONNRESET), NAME(ENOBUFS), NAME(EISCONN), NAME(ENOTCONN),
	NAME(ESHUTDOWN), NAME(ETOOMANYREFS), NAME(ETIMEDOUT),
	NAME(ECONNREFUSED), NAME(EHOSTDOWN), NAME(EHOSTUNREACH),
	NAME(EALREADY), NAME(EINPROGRESS), NAME(ESTALE), NAME(EUCLEAN),
	NAME(ENOTNAM), NAME(ENAVAIL), NAME(EISNAM), NAME(EREMOTEIO),
	NAME(EDQUOT), NAME(ENOMEDIUM), NAME(EMEDIUMTYPE), NAME(ECANCELED),
	NAME(ENOKEY), NAME(EKEYEXPIRED), NAME(EKEYREVOKED), NAME(EKEYREJECTED),
	NAME(EOWNERDEAD), NAME(ENOTRECOVERABLE), NAME(ERFKILL), NAME(EHWPOISON),
};

/* Set the thread's message to a sentence. Returns -errnum. */
int libbdus_error(int errnum, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(thread_message, sizeof(thread_message), format, args);
	va_end(args);

	return -errnum;
}

/*
 * Set the thread's message to a sentence that is followed by what errnum means,
 * for failures of which nothing else is known. Returns -errnum.
 */
int libbdus_error_with_errno(int errnum, const char *format, ...)
{
	const size_t names = sizeof(errno_names) / sizeof(errno_names[0]);
	char sentence[LIBBDUS_MESSAGE_SIZE];
	char text[128];
	char number[16];
	const char *name = NULL;
	va_list args;

	va_start(args, format);
	vsnprintf(sentence, sizeof(sentence), format, args);
	va_end(args);

	if (errnum >= 0 && (size_t)errnum < names)
		name = errno_names[errnum];
	if (!name) {
		snprintf(number, sizeof(number), "%d", errnum);
		name = number;
	}

	return libbdus_error(errnum, "%.*s (errno = %s: %s)",
			     LIBBDUS_MESSAGE_SIZE - 192, sentence, name,
			     strerror_r(errnum, text, sizeof(text)));
}

/* Take a copy of the thread's message. */
void libbdus_error_save(struct libbdus_error *error)
{
	memcpy(error->message, thread_message, sizeof(thread_message));
}

/* Make a copied message the thread's message. */
void libbdus_error_restore(const struct libbdus_error *error)
{
	memcpy(thread_message, error->message, sizeof(thread_message));
}

/*
 * Turn the result of an internal function into that of a public one. errno is
 * as on entry if nothing failed, whatever happened on the way.
 */
bool libbdus_error_report(int ret, int errno_on_entry)
{
	errno = ret ? -ret : errno_on_entry;
	return !ret;
}

LIBBDUS_EXPORT const char *bdus_get_error_message_0_1_0_(void)
{
	return thread_message;
}
