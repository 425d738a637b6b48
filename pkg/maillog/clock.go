package maillog

import "time"

// A clockFace turns the stamps of one source into Unix seconds. The last quarter of an
// hour is remembered: no zone changes its offset inside one, so that nearly
// all lines cost an addition.
type clockFace struct {
	location  *time.Location
	reference int64

	year       int16 // of the stamp, 0 for none
	month, day uint8
	quarter    int32
	valid      bool
	first      int64 // what the begin of the quarter is in Unix seconds
	second     int64 // its other reading when summer time ends, else first
}

const (
	quarterHour = 900
	halfYear    = 182 * 86400
)

// unix is the time of s. near chooses the year of a stamp without one and the
// reading of an hour that occurs twice.
func (c *clockFace) unix(s Stamp, near int64) int64 {
	if s.Offset != NoOffset && s.Year != 0 {
		return days(int(s.Year), int(s.Month), int(s.Day))*86400 + int64(s.Second) - int64(s.Offset)
	}
	quarter := s.Second / quarterHour
	into := int64(s.Second - quarter*quarterHour)
	if c.valid && c.quarter == quarter && c.day == s.Day && c.month == s.Month && c.year == s.Year {
		t := nearest(c.first+into, c.second+into, near)
		// Inside half a year no other year can be nearer.
		if d := t - near; s.Year != 0 || d < halfYear && d > -halfYear {
			return t
		}
	}
	c.valid, c.year, c.month, c.day, c.quarter = true, s.Year, s.Month, s.Day, quarter
	year := int(s.Year)
	if year == 0 {
		year = c.nearestYear(s, near)
	}
	c.first, c.second = c.local(year, s.Month, s.Day, int64(quarter)*quarterHour)
	return nearest(c.first+into, c.second+into, near)
}

// bounded keeps a time from 1970 to 2106, which 32 bits hold. 0 is no time.
func bounded(t int64) int64 { return min(max(t, 1), 1<<32-1) }

// nearestYear is the year since 1970 that puts s nearest to near; for Feb 29
// the nearest leap year. A file of an image or an archive without times is of
// the first second of 1970.
func (c *clockFace) nearestYear(s Stamp, near int64) int {
	y0, _, _ := civil(floorDiv(near, 86400))
	best, year := int64(-1), y0
	for y := max(y0-8, 1970); y <= max(y0+8, 1972); y++ { // leap years are at most 8 apart
		if int(s.Day) > monthLen(y, int(s.Month)) {
			continue
		}
		t := days(y, int(s.Month), int(s.Day))*86400 + int64(s.Second)
		t -= c.offset(t)
		if d := max(t-near, near-t); best < 0 || d < best {
			best, year = d, y
		}
	}
	return year
}

// local is a second of a local day in Unix seconds; second is its other
// reading in the hour that occurs twice. In the hour that never occurs it is
// read with the offset before.
func (c *clockFace) local(y int, m, d uint8, sec int64) (first, second int64) {
	t := days(y, int(m), int(d))*86400 + sec
	before, after := c.offset(t-86400), c.offset(t+86400)
	first, second = t-before, t-after
	if c.offset(second) != after {
		second = first
	}
	if c.offset(first) != before {
		first = second
	}
	return min(first, second), max(first, second)
}

// offset is that of the source's zone at t, in seconds east.
func (c *clockFace) offset(t int64) int64 {
	if c.location == nil {
		return 0
	}
	_, o := time.Unix(t, 0).In(c.location).Zone()
	return int64(o)
}

func nearest(a, b, near int64) int64 {
	if a == b || max(a-near, near-a) <= max(b-near, near-b) {
		return a
	}
	return b
}
