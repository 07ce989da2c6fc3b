//! Images of containers: which program do they run unless told otherwise?

/// Images whose server is called otherwise: the name, a part of the tag, and the server.
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
    ("consul", "", "consul-agent"),
    ("vault", "", "vault-server"),
    ("registry", "", "docker-registry"),
    ("rabbitmq", "management", "rabbitmq-management"),
    ("unit", "", "nginx-unit"),
];

/// The name of an image, and the server that it is known to run, if that is called otherwise.
pub(crate) fn named(image: &str) -> Option<(&str, Option<&'static str>)> {
    let image = image.trim().trim_start_matches("docker://");
    // `${IMAGE:-nginx:1}`
    let whole = image.strip_prefix("${").and_then(|inner| inner.strip_suffix('}'));
    let image = whole.and_then(|inner| Some(inner.split_once(":-")?.1)).unwrap_or(image);
    let path = image.split('@').next().unwrap_or(image);
    if path.contains(|c: char| c.is_whitespace() || matches!(c, '`' | ',' | '=' | '(' | '"')) {
        return None;
    }
    let last = path.rsplit('/').next()?;
    let (name, tag) = last.split_once(':').unwrap_or((last, ""));
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty() || !name.chars().all(plain) {
        return None;
    }
    let other = OTHERS.iter().find(|(of, part, _)| *of == name && tag.contains(part));
    Some((name, other.map(|(_, _, server)| *server)))
}

#[cfg(test)]
mod tests {
    use super::named;

    fn program(image: &str) -> Option<&str> {
        named(image).map(|(name, other)| other.unwrap_or(name))
    }

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
            assert_eq!(program(image), Some(expected), "{image}");
        }
        assert_eq!(program("${IMAGE}"), None);
        assert_eq!(program(""), None);
    }
}
