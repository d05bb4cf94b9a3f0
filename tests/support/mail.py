"""A mail server for tests. It says on its standard output, a line of JSON each, where it is, and then each e-mail.

mail.py [--refuse N] [--login USER:PASSWORD] [--tls CERTIFICATE_AND_KEY]
"""

import argparse
import asyncio
import email
import email.policy
import json
import ssl

from aiosmtpd.smtp import SMTP, AuthResult


def say(what):
    print(json.dumps(what), flush=True)


class Box:
    def __init__(self, refuse):
        self.refuse = refuse

    async def handle_DATA(self, server, session, envelope):
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        self.refuse -= 1
        is_taken = self.refuse < 0
        say({
            "taken": is_taken,
            "from": str(message["From"]),
            "to": envelope.rcpt_tos,
            "id": message["Message-ID"],
            "subject": str(message["Subject"]),
            "text": message.get_content(),
        })
        return "250 taken" if is_taken else "451 not now, secret@example.com"


async def main():
    args = argparse.ArgumentParser()
    args.add_argument("--refuse", type=int, default=0)
    args.add_argument("--login")
    args.add_argument("--tls")
    args = args.parse_args()
    box = Box(args.refuse)

    def knows(server, session, envelope, mechanism, data):
        return AuthResult(success=f"{data.login.decode()}:{data.password.decode()}" == args.login)

    def serve():
        return SMTP(box, hostname="localhost", authenticator=knows, auth_required=bool(args.login), auth_require_tls=False)

    tls = None
    if args.tls:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(args.tls)
    server = await asyncio.get_running_loop().create_server(serve, "127.0.0.1", 0, ssl=tls)
    say({"port": server.sockets[0].getsockname()[1]})
    await server.serve_forever()


asyncio.run(main())
