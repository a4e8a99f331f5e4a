//! What chrony's log files are called and what stands above their columns, so that programs that read them find what
//! they know.

use ntp_engine::conf::LogFile;

/// The file's name in the folder.
pub(super) const fn file_name(kind: LogFile) -> &'static str {
    match kind {
        LogFile::Measurements => "measurements.log",
        LogFile::Statistics => "statistics.log",
        LogFile::Tracking => "tracking.log",
        LogFile::Selection => "selection.log",
        LogFile::Rtc => "rtc.log",
        LogFile::Refclocks => "refclocks.log",
        LogFile::Tempcomp => "tempcomp.log",
    }
}

/// The names of the columns.
pub(super) const fn heading(kind: LogFile) -> &'static str {
    match kind {
        LogFile::Measurements => {
            "   Date (UTC) Time     IP Address   L St 123 567 ABCD  LP RP Score    Offset  Peer del. \
             Peer disp.  Root del. Root disp. Refid     MTxRx"
        }
        LogFile::Statistics => {
            "   Date (UTC) Time     IP Address    Std dev'n Est offset  Offset sd  Diff freq   \
             Est skew  Stress  Ns  Bs  Nr  Asym"
        }
        LogFile::Tracking => {
            "   Date (UTC) Time     IP Address   St   Freq ppm   Skew ppm     Offset L Co  Offset sd \
             Rem. corr. Root delay Root disp. Max. error"
        }
        LogFile::Selection => {
            "   Date (UTC) Time     IP Address   S EOpts Reach Score Last sample  Low end   High end"
        }
        LogFile::Rtc => {
            "   Date (UTC) Time   RTC fast (s) Val   Est fast (s)   Slope (ppm)  Ns  Nr Meas"
        }
        LogFile::Refclocks => {
            "   Date (UTC) Time         Refid  DP L P  Raw offset   Cooked offset      Disp."
        }
        LogFile::Tempcomp => "   Date (UTC) Time        Temp.       Comp.",
    }
}
