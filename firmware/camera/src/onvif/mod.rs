pub(crate) const DEVICE_PATH: &str = "/onvif/device_service";
