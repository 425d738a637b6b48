package config

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// maxSeconds bounds every duration: ten years.
const maxSeconds = 3650 * day

const day = 24 * 3600

var errUnit = errors.New("has no unit")

// seconds reads a duration of at least one second.
func (r *reader) seconds(path string, n *yaml.Node) (int64, bool) {
	s, ok := r.text(path, n)
	if !ok {
		return 0, false
	}
	switch v, err := parseDuration(s); {
	case errors.Is(err, errUnit):
		r.fail(n, "%s: %q has no unit: write %ss, %sm, %sh or %sd", path, cut(s), s, s, s, s)
	case err != nil:
		r.fail(n, "%s: %q is not a duration: write one like 90s, 10m, 24h, 1h30m or 30d", path, cut(s))
	case v < 1 || v > maxSeconds:
		r.fail(n, "%s: %s is out of range: write 1s to 3650d", path, cut(s))
	default:
		return v, true
	}
	return 0, false
}

// ParseDuration reads a duration as the configuration has them: "90s", "36h",
// "1h30m", "7d". It is at least a second and at most ten years. The error says
// what to write instead.
func ParseDuration(s string) (time.Duration, error) {
	switch v, err := parseDuration(s); {
	case errors.Is(err, errUnit) && strings.Trim(s, "0") == "":
		return 0, fmt.Errorf("%s is no time: write 1s to 3650d", cut(s))
	case errors.Is(err, errUnit):
		return 0, fmt.Errorf("%q has no unit: write %ss, %sm, %sh or %sd", cut(s), cut(s), cut(s), cut(s), cut(s))
	case err != nil:
		return 0, fmt.Errorf("%q is not a duration: write one like 90m, 36h or 7d", cut(s))
	case v < 1 || v > maxSeconds:
		return 0, fmt.Errorf("%s is out of range: write 1s to 3650d", cut(s))
	default:
		return time.Duration(v) * time.Second, nil
	}
}

// parseDuration reads whole numbers with the units d, h, m and s, each at most
// once and in that order: "1h30m".
func parseDuration(s string) (int64, error) {
	const units = "dhms"
	size := [len(units)]int64{day, 3600, 60, 1}
	if s != "" && strings.Trim(s, "0123456789") == "" {
		return 0, errUnit
	}
	var sum int64
	next := 0
	for s != "" {
		i := strings.IndexFunc(s, func(c rune) bool { return c < '0' || c > '9' })
		if i <= 0 || i > 12 {
			return 0, fmt.Errorf("%q: no number", s)
		}
		u := strings.IndexByte(units, s[i])
		if u < next {
			return 0, fmt.Errorf("%q: no unit", s)
		}
		v, err := strconv.ParseInt(s[:i], 10, 64)
		if err != nil {
			return 0, err
		}
		sum += v * size[u]
		next, s = u+1, s[i+1:]
	}
	if next == 0 {
		return 0, errors.New("empty")
	}
	return sum, nil
}

// Duration writes seconds as [ParseDuration] reads them, in one unit.
func Duration(v int64) string {
	switch {
	case v%day == 0 && v > 7*day:
		return fmt.Sprintf("%dd", v/day)
	case v%3600 == 0:
		return fmt.Sprintf("%dh", v/3600)
	case v%60 == 0:
		return fmt.Sprintf("%dm", v/60)
	}
	return fmt.Sprintf("%ds", v)
}
