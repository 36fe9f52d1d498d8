# The core on the runtime: cache.elf.

APP := $(patsubst %/,%,$(dir $(abspath $(lastword $(MAKEFILE_LIST)))))
include $(APP)/sources.mk

NAME := cache
APP_SOURCES := $(CORE_SOURCES) $(RUNTIME_SOURCES)
APP_INCLUDES := $(INCLUDES) platform/runtime platform/runtime/libc
# What is sent without a copy is a pbuf of its own for each segment.
APP_CFLAGS := -DLLHTTP_STRICT_MODE=1 -DMEMP_NUM_PBUF=1024 -isystem $(LLHTTP)/include
LIBRARY := $(LLHTTP)/src
LIBRARY_SOURCES := $(LLHTTP_SOURCES)

include $(RUNTIME_FOLDER)/Makefile
