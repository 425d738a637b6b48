package control

import (
	"context"
	"fmt"
	"net"
	"os/user"
	"strconv"
	"strings"
	"unicode"
)

// A peer is who is at the other end of the socket, as the kernel says.
type peer struct {
	uid   uint32
	pid   int32 // 0: not known
	known bool
}

type peerKey struct{}

// withPeer keeps who opened a connection with its requests.
func withPeer(ctx context.Context, c net.Conn) context.Context {
	if v, ok := c.(*visitor); ok {
		return context.WithValue(ctx, peerKey{}, v.peer)
	}
	return ctx
}

// by names who asks, for the log: "root (uid 0, pid 4711)".
func by(ctx context.Context) string {
	p, _ := ctx.Value(peerKey{}).(peer)
	if !p.known {
		return "somebody (the system does not say who)"
	}
	name := "somebody"
	if u, err := user.LookupId(strconv.FormatUint(uint64(p.uid), 10)); err == nil {
		name = word(u.Username)
	}
	if p.pid == 0 {
		return fmt.Sprintf("%s (uid %d)", name, p.uid)
	}
	return fmt.Sprintf("%s (uid %d, pid %d)", name, p.uid, p.pid)
}

// word makes a name fit to be shown.
func word(s string) string {
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) || r == unicode.ReplacementChar {
			return '?'
		}
		return r
	}, s)
	if r := []rune(s); len(r) > 128 {
		s = string(r[:128])
	}
	return s
}
