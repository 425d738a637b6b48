package daemon

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/postmoat/postmoat/pkg/allow"
	"github.com/postmoat/postmoat/pkg/source"
)

// oldNews is for how long something that has happened, and can't be undone,
// stays an alarm.
const oldNews = 24 * time.Hour

// setBack is how many seconds the clock may be behind the scoring clock, which
// takes lines from at most a few seconds ahead.
const setBack = 60

type alarmKey struct{ kind, about string }

// watch compares what is wrong with what was wrong a second ago, and says what
// has come and gone.
func (c *core) watch(now time.Time) {
	is := make(map[alarmKey]Alarm)
	raise := func(kind, about string, since time.Time, format string, args ...any) {
		is[alarmKey{kind, about}] = Alarm{Kind: kind, Text: fmt.Sprintf(format, args...), Since: since}
	}
	c.watchSources(now, raise)
	if share, ok := c.understood.Alarm(); ok {
		raise("not-understood", "", now, "%.0f %% of the lines of Postfix and Dovecot are not understood: attacks may be missed. Was it upgraded? 'postmoat explain --log' shows which", share*100)
	}
	if addr, share, ok := c.crowd.Alarm(); ok {
		raise("crowd", addr.String(), now, "%.0f %% of the connections come from %s: is that a proxy or container gateway in front of Postfix? Then the real clients can't be told apart, and it must be allowlisted", share*100, addr)
	}
	if off := c.engine.Now() - now.Unix(); c.engine.Now() != 0 && off > setBack {
		raise("skew", "host", now, "the clock of this host is %s behind the newest line that was read: it was set back. Bans end that much later, unless lines with the new time come before", time.Duration(off)*time.Second)
	}
	if k := c.d.keeper.State(); k.Err != nil {
		raise("firewall", "", k.Since, "the firewall is not in step, it will be tried again: %v", k.Err)
	}
	for _, p := range c.list.Problems() {
		if p.Severity >= allow.Alarm {
			raise("allowlist", p.Origin, time.Unix(p.Since, 0), "%s: %s (%s)", p.Origin, p.Text, p.Severity)
		}
	}
	if t := c.engine.BreakerUntil(); t != 0 {
		raise("breaker", "", now, "too many addresses or known-good clients would have been banned: no new wide bans until %s; 'postmoat resume' ends that", stamp(t))
	}
	if c.saved.Error != "" {
		raise("state", "snapshot", now, "the state can't be written: %s. postmoat goes on in memory; free some space in %s", c.saved.Error, c.d.o.State)
	}
	if n := c.d.ledger.Pending(); n > 0 {
		raise("state", "journal", now, "what operators did can't be written down yet (records that wait: %d). postmoat goes on in memory; is there space in %s?", n, c.d.o.State)
	}
	for _, text := range c.d.lost {
		raise("state", text, c.d.started, "%s", text)
		if now.Sub(c.d.started) > oldNews {
			delete(is, alarmKey{"state", text})
		}
	}
	c.announce(is)
}

// strange is the share of lines without a time that makes a source no maillog; a
// few are what other programs write over several lines.
const strange = 0.5

func (c *core) watchSources(now time.Time, raise func(kind, about string, since time.Time, format string, args ...any)) {
	if len(c.feeds) == 0 {
		raise("sources", "", now, "there is no log to follow")
	}
	for _, f := range c.feeds {
		st := f.status()
		for _, a := range st.Alarms {
			switch a.Kind {
			case source.Gap, source.Damaged, source.Forged:
				if now.Sub(a.At) > oldNews {
					continue
				}
				raise(string(a.Kind), fmt.Sprint(f.Key, a.At.UnixNano(), a.Text), a.At, "%s: %s", f.Key, a.Text)
			default:
				raise(string(a.Kind), f.Key, a.At, "%s: %s", f.Key, a.Text)
			}
		}
		if f.pace.hangs() {
			raise(string(source.Unreadable), f.Key, f.pace.looked, "%s: it was last looked at %s, and hangs since then: does its file system answer? Lines that come later may be too old to count", f.Key, stamp(f.pace.looked.Unix()))
		}
		if since, habit, ok := f.quiet.Alarm(now.Unix()); ok && c.phase == running {
			raise("quiet", f.Key, time.Unix(since, 0), "%s: no line of Postfix or Dovecot since %s; it was never quiet for longer than %s or so. Does syslog still write there?",
				f.Key, stamp(since), habit.Round(time.Minute))
		}
		f.timed.Add(f.dated, f.undated)
		f.dated, f.undated = 0, 0
		if f.timed.Over(strange) {
			share, _ := f.timed.Alarm()
			raise("not-understood", f.Key, now, "%s: %.0f %% of its lines begin with no time that can be read, so attacks are missed. Is that a maillog, and does syslog write it in one of the usual formats? 'postmoat explain --log' shows what is read",
				f.Key, share*100)
		}
		if f.stubborn {
			raise("skew", f.Key, now, "%s: the stamps name a time zone and are off by hours: set the clock or the zone of the program that writes them", f.Key)
		} else if off, ok := f.skew.Skewed(); ok {
			raise("skew", f.Key, now, "%s: its stamps are %s off the clock of this host: bans come late or not at all. Set the clock (chrony, ntpd)", f.Key, time.Duration(off)*time.Second)
		}
	}
}

// announce tells of alarms that are new, and of those that are over.
func (c *core) announce(is map[alarmKey]Alarm) {
	for k, a := range is {
		if old, ok := c.alarms[k]; ok {
			a.Since = old.Since
			is[k] = a
			continue
		}
		c.d.log.Warn("alarm", "kind", a.Kind, "text", a.Text)
		c.d.tell(Event{Time: c.d.o.Now().UTC(), Type: "alarm", Kind: a.Kind, Text: a.Text})
	}
	for k, a := range c.alarms {
		if _, ok := is[k]; !ok {
			c.d.log.Info("alarm is over", "kind", a.Kind, "text", a.Text)
			c.d.tell(Event{Time: c.d.o.Now().UTC(), Type: "clear", Kind: a.Kind, Text: a.Text})
		}
	}
	c.alarms = is
}

// sortedAlarms are the alarms, oldest first.
func (c *core) sortedAlarms() []Alarm {
	out := make([]Alarm, 0, len(c.alarms))
	for _, a := range c.alarms {
		out = append(out, a)
	}
	slices.SortFunc(out, func(a, b Alarm) int {
		return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Text, b.Text))
	})
	return out
}
