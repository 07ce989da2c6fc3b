//! Images of containers: which program do they run unless told otherwise?

/// Images whose server is called otherwise; of the others the name says it. `-` stands before a part of a tag.
const OTHERS: &[(&str, &str, &str)] = &[
    ("php", "apache", "apache2"),
    ("php", "fpm", "php-fpm"),
    ("wordpress", "fpm", "php-fpm"),
    ("wordpress", "", "apache2"),
    ("drupal", "", "apache2"),
    ("joomla", "", "apache2"),
    ("phpmyadmin", "", "apache2"),
    ("nextcloud", "fpm", "php-fpm"),
    ("nextcloud", "", "apache2"),
    ("nginx-unprivileged", "", "nginx"),
    ("nginx-alpine", "", "nginx"),
    ("nginx-proxy", "", "nginx"),
    ("nginx-ingress-controller", "", "nginx"),
    ("apache", "", "apache2"),
];

/// What the first process of an image is called.
pub(crate) fn program(image: &str) -> Option<String> {
    let image = image.trim().trim_start_matches("docker://");
    // `${IMAGE:-nginx:1}`
    let whole = image.strip_prefix("${").and_then(|inner| inner.strip_suffix('}'));
    let image = whole.and_then(|inner| Some(inner.split_once(":-")?.1)).unwrap_or(image);
    let path = image.split('@').next().unwrap_or(image);
    let last = path.rsplit('/').next()?;
    let (name, tag) = last.split_once(':').unwrap_or((last, ""));
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty() || !name.chars().all(plain) {
        return None;
    }
    let other = OTHERS.iter().find(|(of, part, _)| *of == name && tag.contains(part));
    Some(other.map_or(name, |(_, _, program)| program).to_owned())
}

#[cfg(test)]
mod tests {
    use super::program;

    #[test]
    fn the_name_says_it() {
        for (image, expected) in [
            ("nginx", "nginx"),
            ("docker.io/library/nginx:1.27-alpine@sha256:00", "nginx"),
            ("localhost:5000/team/caddy", "caddy"),
            ("php:8.3-apache", "apache2"),
            ("php:8.3-fpm-alpine", "php-fpm"),
            ("php:8.3-cli", "php"),
            ("nginxinc/nginx-unprivileged", "nginx"),
        ] {
            assert_eq!(program(image).as_deref(), Some(expected), "{image}");
        }
        assert_eq!(program("${IMAGE}"), None);
        assert_eq!(program(""), None);
    }
}
