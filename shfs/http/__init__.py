"""HTTP from a volume, for a look at it in a browser before it is deployed (RFC 9110, RFC 9112).

server       listens, and ends
connection   requests of one client, in their order: h11 has the protocol, this the bytes, clocks and limits
target       what a request asks for
site         what it is answered
conditions   validators, and the preconditions that speak of them
ranges       parts of an object
message      a request and a response, as the others speak of them
"""
