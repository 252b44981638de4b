"""aioice's TURN client against the server: what it may and may not do, as one JSON line."""
import argparse
import asyncio
import json
import os
import sys

from aioice import stun, turn

arguments = argparse.ArgumentParser()
for name in ("server", "transport", "username", "credential"):
    arguments.add_argument(f"--{name}", required=True)
options = arguments.parse_args()
host, port = options.server.rsplit(":", 1)
server = (host, int(port))


async def endpoint(password):
    protocol = {}

    def make():
        protocol["it"] = asyncio.DatagramProtocol()
        return protocol["it"]

    transport, _ = await turn.create_turn_endpoint(
        make, server_addr=server, username=options.username, password=password, transport=options.transport
    )
    return transport


async def code_of(work):
    try:
        await work
        return "bound"
    except stun.TransactionFailed as failed:
        return failed.response.error_code


async def main():
    result = {"wrong": await code_of(endpoint("wrong"))}
    transport = await endpoint(options.credential)
    relayed = transport.get_extra_info("sockname")
    result["allocated"] = relayed[0] == host and relayed[1] >= 49152
    client = transport._TurnTransport__inner_protocol
    result["other_address"] = await code_of(client.channel_bind(0x4001, ("198.51.100.1", server[1])))
    result["other_port"] = await code_of(client.channel_bind(0x4002, (host, 22)))
    result["ours"] = await code_of(client.channel_bind(0x4003, server))
    print(json.dumps({"result": result}), flush=True)
    transport.close()
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    os._exit(0)


asyncio.run(main())
