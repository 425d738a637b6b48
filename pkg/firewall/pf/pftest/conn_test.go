package pftest_test

import (
	"net/netip"

	"github.com/postmoat/postmoat/pkg/firewall/pf/pftest"
)

func conn(in bool, local, peer string) pftest.Conn {
	return pftest.Conn{In: in, Local: netip.MustParseAddrPort(local), Peer: netip.MustParseAddrPort(peer)}
}
