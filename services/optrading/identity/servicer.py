"""gRPC face of identity. Translates; decides nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from google.protobuf.timestamp_pb2 import Timestamp

from optrading.identity.keys import SigningKey
from optrading.identity.sessions import Sessions
from optrading.identity.tokens import ALGORITHM
from optrading.identity.users import User, Users
from optrading.identity.v1 import identity_service_pb2 as pb
from optrading.identity.v1 import identity_service_pb2_grpc as pb_grpc

if TYPE_CHECKING:
    from optrading.common.interceptors import Context  # grpcio's class takes type arguments in its stubs only

_BEARER = "bearer"


class IdentityServicer(pb_grpc.IdentityServiceServicer):
    """Answers the calls of IdentityService."""

    def __init__(self, sessions: Sessions, users: Users, keys: Sequence[SigningKey]) -> None:
        """Serve these."""
        self._sessions = sessions
        self._users = users
        self._jwks = pb.GetJwksResponse(keys=[_to_jwk(key) for key in keys])

    async def Login(self, request: pb.LoginRequest, context: Context) -> pb.LoginResponse:
        """Exchange a user name and password for tokens."""
        tokens = await self._sessions.login(request.username, request.password)
        return pb.LoginResponse(
            access_token=tokens.access_token,
            refresh_token=tokens.refresh_token,
            token_type=_BEARER,
            expires_in=tokens.expires_in_s,
        )

    async def RefreshToken(self, request: pb.RefreshTokenRequest, context: Context) -> pb.RefreshTokenResponse:
        """Exchange a refresh token for new tokens."""
        tokens = await self._sessions.refresh(request.refresh_token)
        return pb.RefreshTokenResponse(
            access_token=tokens.access_token,
            refresh_token=tokens.refresh_token,
            token_type=_BEARER,
            expires_in=tokens.expires_in_s,
        )

    async def GetJwks(self, request: pb.GetJwksRequest, context: Context) -> pb.GetJwksResponse:
        """Return the public keys."""
        return self._jwks

    async def CreateUser(self, request: pb.CreateUserRequest, context: Context) -> pb.CreateUserResponse:
        """Create a user."""
        user = await self._users.create(request.username, request.password, request.permissions)
        return pb.CreateUserResponse(user=_to_user(user))

    async def ListUsers(self, request: pb.ListUsersRequest, context: Context) -> pb.ListUsersResponse:
        """List all users."""
        return pb.ListUsersResponse(users=[_to_user(user) for user in await self._users.list_all()])


def _to_jwk(key: SigningKey) -> pb.JsonWebKey:
    return pb.JsonWebKey(kty="OKP", crv="Ed25519", x=key.x, kid=key.kid, use="sig", alg=ALGORITHM)


def _to_user(user: User) -> pb.User:
    created_at = Timestamp()
    created_at.FromDatetime(user.created_at)
    return pb.User(
        user_id=user.user_id,
        username=user.username,
        permissions=user.permissions,
        created_at=created_at,
        disabled=user.disabled,
    )
