// SPDX-License-Identifier: GPL-2.0-only
/*
 * same.c: has one block written to a whole range, for kernels that can do so; nothing in
 * user space can ask for it. Loading the module does it, and fails as that did:
 *
 *   insmod same.ko device=/dev/bdus-0 sector=8 count=16 byte=90
 */
#include <linux/blkdev.h>
#include <linux/fs.h>
#include <linux/gfp.h>
#include <linux/module.h>
#include <linux/string.h>

static char *device = "";
module_param(device, charp, 0);

static unsigned long sector;
module_param(sector, ulong, 0);

static unsigned long count = 1;
module_param(count, ulong, 0);

static unsigned int byte;
module_param(byte, uint, 0);

static int __init same_init(void)
{
	struct page *page = alloc_page(GFP_KERNEL);
	struct block_device *bdev;
	int ret;

	if (!page)
		return -ENOMEM;
	bdev = blkdev_get_by_path(device, FMODE_READ | FMODE_WRITE, NULL);
	if (IS_ERR(bdev)) {
		__free_page(page);
		return PTR_ERR(bdev);
	}
	memset(page_address(page), byte, PAGE_SIZE);
	ret = blkdev_issue_write_same(bdev, sector, count, GFP_KERNEL, page);
	blkdev_put(bdev, FMODE_READ | FMODE_WRITE);
	__free_page(page);
	return ret;
}
module_init(same_init);

static void __exit same_exit(void)
{
}
module_exit(same_exit);

MODULE_LICENSE("GPL");
