package sever

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/postmoat/postmoat/pkg/firewall"
	"golang.org/x/sys/unix"
)

// TestExplain: also what the kernel of the test does not say.
func TestExplain(t *testing.T) {
	for _, c := range []struct {
		err  error
		kind error
		hint string
	}{
		{unix.EPERM, firewall.ErrNotPermitted, "CAP_NET_ADMIN"},
		{unix.EOPNOTSUPP, firewall.ErrMissingModule, "CONFIG_INET_DIAG_DESTROY"},
		{unix.ENOENT, firewall.ErrMissingModule, "modprobe tcp_diag"},
		{unix.EPROTONOSUPPORT, firewall.ErrMissingModule, "modprobe tcp_diag"},
		{unix.ENOBUFS, unix.ENOBUFS, ""},
		{context.Canceled, context.Canceled, ""},
	} {
		err := explain("test", fmt.Errorf("netlink: %w", c.err))
		if !errors.Is(err, c.err) || !errors.Is(err, c.kind) || !strings.Contains(firewall.Hint(err), c.hint) {
			t.Errorf("%v: %v (%s)", c.err, err, firewall.Hint(err))
		}
	}
	if explain("test", nil) != nil {
		t.Error("no error is one")
	}
}
