package report

import (
	"time"

	"github.com/postmoat/postmoat/pkg/ban"
)

// endless stands for the end of a ban that has none: the last second that
// RFC 3339 can write.
var endless = time.Date(9999, time.December, 31, 23, 59, 59, 0, time.UTC)

// FromBan turns a running ban into its form in a report and in `postmoat
// list`.
func FromBan(b *ban.Ban) Ban {
	return FromSpell(&ban.Spell{Ban: *b, End: ban.Running})
}

// FromSpell turns a spell into its form in a report. One without an end lasts
// until the year 9999.
func FromSpell(s *ban.Spell) Ban {
	b := spell(s)
	if s.End == ban.Running && s.Until >= endless.Unix() {
		b.Until = endless
	}
	return b
}
