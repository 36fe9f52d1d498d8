# What the program is made of, as paths in this folder.

CORE_SOURCES := core/core.c core/text.c \
	$(addprefix core/shfs/, label.c chunks.c table.c volume.c) \
	$(addprefix core/http/, conditions.c connection.c date.c proxy_header.c ranges.c request.c response.c sending.c \
	server.c target.c)
LINUX_SOURCES := $(addprefix platform/linux/, disk.c loop.c main.c process.c tcp.c)
RUNTIME_SOURCES := $(addprefix platform/runtime/, disk.c guest.c main.c tcp.c)
INCLUDES := include core core/shfs core/http
LLHTTP_SOURCES := api.c http.c llhttp.c
