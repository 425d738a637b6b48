package daemon

import (
	"math"
	"net/netip"
	"testing"

	"github.com/postmoat/postmoat/pkg/ban"
	"github.com/postmoat/postmoat/pkg/maillog"
	"github.com/postmoat/postmoat/pkg/score"
)

// TestHeldUntil loses the state again and again: no ban that is read back from
// the firewall may get a later deadline there than it had.
func TestHeldUntil(t *testing.T) {
	const now = 1_795_000_000
	for _, left := range []int64{1, 59, 119, 121, 300, 3600, 3601, 86400, 30 * 86400} {
		deadline := int64(now) + left
		for range 5 {
			until := heldUntil(deadline, now)
			if until <= now || until > max(deadline-1, now+1) {
				t.Fatalf("%d s left: the end is %d s from now", left, until-now)
			}
			b := ban.NewBook(maillog.SMTP, ban.Options{Time: 3600, Max: 86400, Budget: 10}, nil, score.NewGood(0), ban.NewBreaker(0, 0))
			if _, err := b.Ban(now, netip.MustParsePrefix("192.0.2.7/32"), until, "read back"); err != nil {
				t.Fatal(err)
			}
			told := b.Flush().Add[0].Deadline
			if told > max(deadline, now+180) { // the least that a firewall is told
				t.Fatalf("%d s left: the firewall is told %d s later", left, told-deadline)
			}
			deadline = told
		}
		if deadline > now+max(left, 180) {
			t.Errorf("%d s left: after five times it is %d s", left, deadline-now)
		}
	}
	if heldUntil(math.MaxInt64, now) != math.MaxInt64 {
		t.Error("a ban without an end has one")
	}
}
