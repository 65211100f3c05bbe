/* SPDX-License-Identifier: MIT */

/*
 * load.c: functions of libraries that only some backends need.
 *
 * Called by those backends when they are opened, so that neither the library nor other
 * backends need them. What was loaded stays: others may use it by then.
 */

#include <dlfcn.h>
#include <errno.h>
#include <string.h>

#include "internal.h"

static int load_symbol(const struct libbdus_symbol *symbol)
{
	void *library = dlopen(symbol->library, RTLD_NOW | RTLD_LOCAL);
	void *found;

	if (!library) {
		return libbdus_error(EOPNOTSUPP,
			"The library %s is not installed.", symbol->library);
	}
	found = dlsym(library, symbol->name);
	if (!found) {
		dlclose(library);
		return libbdus_error(EOPNOTSUPP,
			"The library %s has no function %s.", symbol->library,
			symbol->name);
	}
	memcpy(symbol->place, &found, sizeof(found));
	return 0;
}

/* Find functions, unless they have been found before. Any thread. */
int libbdus_load(struct libbdus_symbols *symbols)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	int ret = 0;

	pthread_mutex_lock(&lock);
	for (size_t i = 0; i < symbols->count && !symbols->are_loaded && !ret;
	     ++i)
		ret = load_symbol(&symbols->list[i]);
	symbols->are_loaded = !ret;
	pthread_mutex_unlock(&lock);
	return ret;
}
