"""One suite for every build of the cache, from outside: bytes go to an address, and every byte that comes back is held
against RFC 9110, 9111 and 9112, and against what the operator of a CDN expects.

content          the objects, and where they lie: in an SHFS volume, in a folder for nginx
wire             a connection, and a reader of responses that forgives nothing
fields           rules that hold for the header fields of every response
parts            multipart/byteranges, read
case             a request and what may be answered: the words of the tables
cases_*          the tables
nginx            nginx on the same content: proof that the suite asks for nothing impossible
nginx_differences  where nginx answers otherwise, how, and why
linux            the cache as a program of Linux
servers          whom the tables are run against
wrong_server     a proxy in front of nginx that does what the original MiniCache does wrong, one thing at a time
defects          these things, and which cases find each
"""
